"""Draws README's picture from the results of sweeps/damping.yaml.

usage: damping.py results/damping > sweeps/damping.svg        (needs polars; writes plain SVG)

Every seed is a dot; a line joins the means over seeds. The dashed lines are Adam at its best learning rate by the mean
validation loss. All seeds are shown, those that tuned and those that confirmed.
"""

import sys
from math import log10
from pathlib import Path

import polars as pl

out = Path(sys.argv[1])
runs = pl.read_parquet(out / "runs.parquet").filter(pl.col("status") == "ok")
kfac = runs.filter(pl.col("arm") == "kfac")
adam = runs.filter(pl.col("arm") == "adam")
xis = sorted(runs["market.xi"].unique().to_list())
colours = dict(zip(xis, ["#0072b2", "#d55e00", "#009e73"]))

width, height, left, right, top, bottom = 760, 420, 64, 150, 44, 52
damping = sorted(kfac["optimizer.damping"].unique().to_list())
values = pl.concat([kfac["test.loss"], adam["test.loss"]])
low, high = log10(values.min()), log10(values.max())
x = lambda d: left + (width - left - right) * (log10(d) - log10(damping[0])) / (log10(damping[-1]) - log10(damping[0]))
y = lambda v: height - bottom - (height - top - bottom) * (log10(v) - low) / (high - low)

svg = [
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="13">',
    "<style>text{fill:#222}.axis{stroke:#999}.grid{stroke:#ddd}.bg{fill:#fff}"
    "@media (prefers-color-scheme:dark){text{fill:#ddd}.axis{stroke:#777}.grid{stroke:#444}.bg{fill:#1b1b1b}}</style>",
    f'<rect class="bg" width="{width}" height="{height}"/>',
    f'<text x="{left}" y="22" font-size="15">Held-out loss of K-FAC on the head against its damping, '
    f"{runs['seed'].n_unique()} seeds</text>",
]
for exponent in range(int(low) - 1, int(high) + 2):
    if low <= exponent <= high:
        svg.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y(10**exponent):.1f}" y2="{y(10**exponent):.1f}"/>')
        svg.append(f'<text x="{left - 8}" y="{y(10**exponent) + 4:.1f}" text-anchor="end">1e{exponent}</text>')
for exponent in range(-4, 0):
    svg.append(f'<text x="{x(10.0**exponent):.1f}" y="{height - bottom + 20}" text-anchor="middle">1e{exponent}</text>')
svg.append(f'<line class="axis" x1="{left}" x2="{width - right}" y1="{height - bottom}" y2="{height - bottom}"/>')
svg.append(f'<text x="{(left + width - right) / 2}" y="{height - 12}" text-anchor="middle">optimizer.damping</text>')
svg.append(f'<text x="16" y="{(top + height - bottom) / 2}" text-anchor="middle" transform="rotate(-90 16 {(top + height - bottom) / 2})">test.loss</text>')
labels = []
for offset, xi in zip((-4, 0, 4), xis):
    cell = kfac.filter(pl.col("market.xi") == xi)
    for d, v in cell.select("optimizer.damping", "test.loss").iter_rows():
        svg.append(f'<circle cx="{x(d) + offset:.1f}" cy="{y(v):.1f}" r="1.6" fill="{colours[xi]}" fill-opacity="0.35"/>')
    means = cell.group_by("optimizer.damping").agg(pl.col("test.loss").mean()).sort("optimizer.damping")
    points = " ".join(f"{x(d):.1f},{y(v):.1f}" for d, v in means.iter_rows())
    svg.append(f'<polyline points="{points}" fill="none" stroke="{colours[xi]}" stroke-width="2"/>')
    labels.append((y(means["test.loss"][-1]), f"K-FAC, ξ = {xi}", colours[xi]))
    chosen = adam.filter(pl.col("market.xi") == xi).group_by("optimizer.lr").agg(
        pl.col("validation.loss").mean(), pl.col("test.loss").mean()).sort("validation.loss").row(0)
    svg.append(f'<line x1="{left}" x2="{width - right}" y1="{y(chosen[2]):.1f}" y2="{y(chosen[2]):.1f}" '
               f'stroke="{colours[xi]}" stroke-width="1.5" stroke-dasharray="5 4"/>')
    labels.append((y(chosen[2]), f"Adam, ξ = {xi}", colours[xi]))
previous = top - 15
for place, text, colour in sorted(labels):
    previous = max(place, previous + 15)
    svg.append(f'<text x="{width - right + 8}" y="{previous + 4:.1f}" style="fill:{colour}">{text}</text>')
svg.append("</svg>")
print("\n".join(svg))
