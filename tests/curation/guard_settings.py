"""Limits for tests of the guard: quick to lose patience."""

from pdm.config.stages.scrape import ScrapeConfig, UrlListSource


def settings(*sources, **changes) -> ScrapeConfig:
    values = {
        "timeout_seconds": 1.0,
        "retries": 0,
        "num_threads": 8,
        "max_per_host": 8,
        "min_interval_seconds": 0.0,
        "respect_robots": False,
        "respect_opt_outs": True,
        "max_unreached_in_a_row": 50,
        "removed": None,
        "max_image_mib": 1.0,
        "num_shards": 3,
        "max_failed_share": 0.5,
    }
    some = UrlListSource(kind="urls", path="list.txt")
    return ScrapeConfig(sources=sources or (some,), **(values | changes))
