"""Makes buckets and loads the sample data as Zarr, as the operator of a platform does.

Run by the Python of the user's environment, which has xarray and the package that the data ship in:

    python load_data.py s3://data/sst-ndjfm-anomaly.zarr s3://scratch s3://persistent

Loads nothing if the data are there already. Where the store is, and the operator's keys, come from
the usual AWS_* variables.
"""

import hashlib
import sys
from importlib.metadata import version
from pathlib import Path

import fsspec
import xarray as xr
from eofs.examples import example_data_path

SOURCE_FILE = "sst_ndjfm_anom.nc"
SOURCE_SHA256 = "7b85c04e272d020d72d35c3eb9c720e03cb030920a779947de810e5d1dc7252c"
"""Of the file in eofs 2.0.0: 50 winters on a grid of 18 by 30 cells."""

SOURCE_WINTERS = 5
"""Winters in a chunk: ten chunks, so that two workers share the reading."""


def read_source() -> xr.Dataset:
    """Return the sea surface temperature anomalies (°C; time 50, lat 18, lon 30), described by CF.

    Values are those of the NetCDF file in the package eofs. Raises ValueError if the package holds
    another file than the one that was described here.
    """
    path = Path(example_data_path(SOURCE_FILE))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SOURCE_SHA256:
        raise ValueError(
            f"{path}: sha256 is {digest}, expected {SOURCE_SHA256}; check the new file against its "
            "description here, then change the number"
        )
    with xr.open_dataset(path) as source:
        data = source[["sst", "bounds_time"]].load()
    data = (
        data.rename(
            sst="sst_anomaly",
            bounds_time="time_bnds",
            bound="bnds",
            latitude="lat",
            longitude="lon",
        )
        .set_coords("time_bnds")
        .drop_encoding()
    )
    # In float32, as in the file, latitudes would cost every weight nine digits.
    data = data.assign_coords(lat=data.lat.astype("f8"), lon=data.lon.astype("f8"))
    data["time"].attrs = {
        "standard_name": "time",
        "long_name": "middle of the season from November to March",
        "axis": "T",
        "bounds": "time_bnds",
    }
    data["time_bnds"].attrs = {}
    data["lat"].attrs = {
        "standard_name": "latitude",
        "long_name": "latitude of cell centre",
        "units": "degrees_north",
        "axis": "Y",
    }
    data["lon"].attrs = {
        "standard_name": "longitude",
        "long_name": "longitude of cell centre",
        "units": "degrees_east",
        "axis": "X",
    }
    data["sst_anomaly"].attrs = {
        "long_name": "mean sea surface temperature anomaly from November to March",
        "units": "degC",
        "units_metadata": "temperature: difference",
        "cell_methods": "time: mean",
        "comment": "Missing over land. The source states neither units (taken to be degC) nor the "
        "base period of the anomalies; their mean over 1963-2012 is not zero.",
    }
    data.attrs = {
        "Conventions": "CF-1.11",
        "title": "Winter sea surface temperature anomalies, Pacific, 1963-2012",
        "source": f"{SOURCE_FILE}, example data of the Python package eofs {version('eofs')}",
        "source_sha256": digest,
        "license": "GPL-3.0 (of the package; the data carry no statement of their own)",
        "references": "Dawson (2016), J. Open Res. Softw. 4(1), e14, doi:10.5334/jors.122",
        "comment": "The package does not name the analysis that the anomalies come from. For "
        "learning, not for research.",
    }
    return data


def write_zarr(data: xr.Dataset, url: str) -> None:
    """Write the data to `url` as Zarr, in chunks of SOURCE_WINTERS, replacing what is there."""
    days = {
        "units": "days since 1800-01-01",
        "calendar": "standard",
        "dtype": "f8",
        "_FillValue": None,
    }
    encoding = {
        "time": {**days, "chunks": (data.sizes["time"],)},
        "time_bnds": days,
        "lat": {"_FillValue": None},
        "lon": {"_FillValue": None},
        "sst_anomaly": {
            "dtype": "f8",
            "chunks": (SOURCE_WINTERS, data.sizes["lat"], data.sizes["lon"]),
        },
    }
    # Format 2 has consolidated metadata in its specification: opening takes one request.
    data.to_zarr(url, mode="w", encoding=encoding, zarr_format=2)


def is_complete(url: str) -> bool:
    """Tell whether `url` holds the data; consolidated metadata are written last."""
    filesystem, path = fsspec.url_to_fs(url)
    return bool(filesystem.exists(f"{path}/.zmetadata"))


def make_bucket(url: str) -> None:
    """Make the bucket that `url` lies in, if it is missing."""
    filesystem, path = fsspec.url_to_fs(url)
    bucket = path.split("/")[0]
    if not filesystem.exists(bucket):
        filesystem.mkdir(bucket)


if __name__ == "__main__":
    for url in sys.argv[1:]:
        make_bucket(url)
    if not is_complete(sys.argv[1]):
        write_zarr(read_source(), sys.argv[1])
