"""Work that is split into parts, which run in this process or on Ray, and resumes after a kill."""
