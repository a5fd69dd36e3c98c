"""Web requests without proxies, whatever the environment of the tests is."""

import urllib.request

open_directly = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
