"""Fetches untrusted URLs. Every request that a URL list causes is made by this package.

URL lists, name servers and web servers are all treated as hostile. `fetcher.Fetcher` fetches;
`gateway.Gateway` serves what it fetched to img2dataset on loopback.
"""
