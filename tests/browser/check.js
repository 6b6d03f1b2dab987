"use strict";
// Looks at the page that it runs in, and writes what is wrong into it. `open`, `dark` and `width` are set before.
const problems = [...window.faults];
const say = (kind, what) => { if (problems.length < 40) problems.push(kind + ": " + what); };
if (open) document.querySelectorAll("details").forEach((details) => { details.open = true; });
if (matchMedia("(prefers-color-scheme: dark)").matches !== dark) say("view", "the theme is not the one asked for");
if (Math.abs(innerWidth - width) > 1) say("view", "the width is " + innerWidth);
if (document.documentElement.scrollWidth > innerWidth) say("sideways", "the page is " + document.documentElement.scrollWidth + " wide");

const shown = (element) => element.checkVisibility({ visibilityProperty: true });
const words = (text) => JSON.stringify(text.trim().slice(0, 60));
const overlap = (a, b, slack) =>
  Math.min(a.right, b.right) - Math.max(a.left, b.left) > slack && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > slack;

// Colours, as shares of light.
const parse = (colour) => (colour.match(/[\d.]+/g) || []).map(Number);
const luminance = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return dark ? [18, 18, 18] : [255, 255, 255];
};
const readable = (colour, element, text) => {
  const [light, dim] = [luminance(parse(colour)), luminance(behind(element))].sort((a, b) => b - a);
  const contrast = (light + 0.05) / (dim + 0.05);
  if (contrast < 4.5) say("contrast", contrast.toFixed(2) + " of " + words(text));
};

let texts = 0, drawings = 0;
for (const svg of document.querySelectorAll("svg")) {
  if (!shown(svg)) continue;
  drawings += 1;
  const frame = svg.getBoundingClientRect();
  const seen = [];
  for (const text of svg.querySelectorAll("text")) {
    texts += 1;
    const box = text.getBoundingClientRect();
    const scale = frame.width / (svg.viewBox.baseVal.width || frame.width);
    if (parseFloat(getComputedStyle(text).fontSize) * scale < 9.5) say("small", words(text.textContent));
    if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 2 || box.bottom > frame.bottom + 1) say("clipped", words(text.textContent));
    // Boxes of lines are higher than their letters.
    const ink = { left: box.left, right: box.right, top: box.top + 0.12 * box.height, bottom: box.bottom - 0.12 * box.height };
    for (const [other, label] of seen) if (overlap(ink, other, 1)) say("overlap", words(label) + " and " + words(text.textContent));
    seen.push([ink, text.textContent]);
    // Text on a coloured cell has the cell behind it, not the page.
    if (!text.matches(".on-light, .on-dark")) readable(getComputedStyle(text).fill, svg, text.textContent);
  }
}

const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const lines = [];
while (walker.nextNode()) {
  const node = walker.currentNode, element = node.parentElement;
  if (!node.data.trim() || element.closest("svg, script, style, noscript") || !shown(element)) continue;
  texts += 1;
  readable(getComputedStyle(element).color, element, node.data);
  if (parseFloat(getComputedStyle(element).fontSize) < 11) say("small", words(node.data));
  const range = document.createRange();
  range.selectNodeContents(node);
  const frame = element.closest(".scroll, pre")?.getBoundingClientRect();
  for (const rect of range.getClientRects()) {
    // What is scrolled out of its frame is not seen.
    const box = frame
      ? new DOMRect(Math.max(rect.left, frame.left), rect.top, Math.min(rect.right, frame.right) - Math.max(rect.left, frame.left), rect.height)
      : rect;
    if (box.width < 1) continue;
    if (!element.closest(".scroll, pre") && (box.right > innerWidth + 1 || box.left < -1)) say("clipped", words(node.data));
    lines.push([{ left: box.left, right: box.right, top: box.top + 0.3 * box.height, bottom: box.bottom - 0.3 * box.height }, node.data]);
  }
}
lines.sort((a, b) => a[0].top - b[0].top);
for (let i = 0; i < lines.length; i++)
  for (let j = i + 1; j < lines.length && lines[j][0].top < lines[i][0].bottom; j++)
    if (overlap(lines[i][0], lines[j][0], 1)) say("overlap", words(lines[i][1]) + " and " + words(lines[j][1]));

parent.postMessage(JSON.stringify({ problems, texts, drawings }), "*");
