"""The whole platform on one machine, without containers, Kubernetes or a cloud."""
