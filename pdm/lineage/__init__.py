"""From a drawn picture back to seed, models, runs, data and the licences of its sources."""
