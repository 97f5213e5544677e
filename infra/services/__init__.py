"""What JupyterHub and Dask Gateway run inside, on every target.

`hub_config.py`, `gateway_config.py` and `dask_dashboard_login.py` are self-contained: they import
nothing of this project and read everything that differs between targets from the environment
variable `PANGEO_SETTINGS`, so that a machine loads them as files and a chart embeds them as text.
`settings.py` defines what that variable holds.
"""
