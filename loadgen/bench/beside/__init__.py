"""tenfold beside the floors and the ordinary ways: ``python -m loadgen.bench``."""
