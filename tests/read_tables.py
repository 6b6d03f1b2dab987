"""Reads a sweep's tables with DuckDB, Polars and pandas, and compares what they say.

usage: read_tables.py OUT
"""

import sys
from pathlib import Path

import duckdb
import pandas
import polars

out = Path(sys.argv[1])
tables = sorted(path.name for path in out.glob("*.parquet"))
assert {"runs.parquet", "curves.parquet", "paths.parquet", "comparisons.parquet"} <= set(tables), tables
for name in tables:
    path = str(out / name)
    by_polars = polars.read_parquet(path)
    by_duckdb = duckdb.sql(f"select * from read_parquet('{path}')").pl()
    by_pandas = pandas.read_parquet(path)
    assert by_polars.columns == by_duckdb.columns == list(by_pandas.columns), name
    assert by_polars.height == by_duckdb.height == len(by_pandas), name
    for column in by_polars.columns:
        if by_polars[column].dtype.is_float():
            assert by_polars[column].is_nan().sum() == 0, f"{name}: NaN in {column}"
            assert by_polars[column].to_list() == by_duckdb[column].to_list(), f"{name}: {column}"
    print(f"{name}: {by_polars.height} rows, {len(by_polars.columns)} columns")

# README's two queries.
runs = str(out / "runs.parquet")
print(polars.read_parquet(runs).group_by("arm", "variant").agg(polars.col("test.loss").mean()))
print(duckdb.sql(f"""select arm, variant, avg("test.loss") from '{runs}' group by all"""))
