"""Benchmarks: each prints one table of comparisons with peers, and compares the outputs.

    any_size, autoencoder, curation, diffusion,    commands; their parts are in parts/NAME
    evaluation, gpu, tasks, training
    quality, systems                               long trainings of the designs in designs/
    drawings, enlarged                             on pictures that picture_packages fetches
    photograph_crops                               crops of them, as a source for the pipeline
    task_pictures                                  draws the pictures of docs/tasks.md

What they share is in shared/.

Import this package before numpy and others: it limits every library to one thread, ours and the
peers' alike. `benchmarks.shared.threads` says how many a part takes that uses all cores.
"""

import os

OMP_NUM_THREADS = os.environ.get("OMP_NUM_THREADS")  # as it was set for the command

for _library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM", "RAYON"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
