"""Clips and datasets that lie elsewhere: ``s3://``, ``gs://``, ``hf://datasets/…``, ``file://``, through fsspec."""
