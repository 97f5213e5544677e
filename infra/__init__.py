"""Pangeo as code: JupyterHub, Dask and object stores, the same on one machine, GKE, EKS and AKS."""
