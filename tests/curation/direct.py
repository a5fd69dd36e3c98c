"""Web requests that use no proxy, whatever the environment of the tests names."""

import urllib.request

open_directly = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
