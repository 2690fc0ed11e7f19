import os
import sys

if sys.argv[1:2] in (["run"], ["observe"]):
    # Our matrices are small, and who forks must have no threads: before numpy is loaded.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
