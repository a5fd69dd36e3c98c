"""The guarded fetch: every request that a URL list causes is made here, and nowhere else.

A list, a name server and a web server are all taken for hostile. The package gives one class,
`fetcher.Fetcher`, and `gateway.Gateway`, which offers it to img2dataset on loopback.
"""
