"""What each reason for a missing picture means, in words for whoever reads the report."""

# Told by the fetching, in the order in which it looks.
NOT_FETCHED = {
    "bad_url": "No address that can be fetched.",
    "duplicate_url": "The same URL stands earlier in the sources.",
    "removed": "Its URL or its content stands in the list of removals.",
    "blocked_address": "The name leads to a private or local address.",
    "opted_out": "The server says no: in robots.txt, or in the headers of its answer.",
    "robots_unavailable": "Whether it may be fetched could not be asked.",
    "dns": "The host's name is not known, or could not be asked for.",
    "connect": "No connection came about.",
    "tls": "The host could not prove who it is.",
    "timeout": "The answer did not come in time.",
    "redirect": "Redirected too often, to nowhere, or to a place that is not allowed.",
    "too_large": "More bytes than the limit.",
    "short_body": "The answer broke off, or was empty.",
    "bad_answer": "The answer is no whole HTTP answer.",
    "http_404": "The server does not have it any more.",
    "hash_mismatch": "Not the bytes that the list promised.",
    "not_fetched": "The fetch ended before it was its turn.",
    "hidden": "A file or folder that systems and programs keep for themselves.",
    "not_image": "The file's name or its first bytes are not those of a picture.",
    "outside_folder": "A link that leads out of the folder.",
    "unreadable_file": "The disk refused to give it.",
}
# Told by the rules, in their order.
NOT_KEPT = {
    "unreadable": "The bytes are no whole picture: cut short, damaged, or another kind of file.",
    "hdr": "High dynamic range (PQ or HLG), which has no one right form in sRGB.",
    "animated": "The file holds several frames.",
    "damaged": "The bytes on disk are not those that were fetched.",
    "decode_timeout": "Reading it took longer than the limit.",
    "decoder_crash": "The decoder fell over it.",
    "too_many_pixels": "More pixels than the limit. Such files can be attacks; not decoded.",
    "border": "A small picture in a wide frame.",
    "too_small": "The crop would have to be enlarged.",
    "wrong_shape": "The crop would lose most of the picture.",
    "no_people": "Too few faces that are large enough, where people are wanted.",
    "crowd": "More faces than are wanted.",
    "face_cut": "No crop keeps the largest face whole.",
    "transparent": "Much of it is transparent; the background would show.",
    "dark": "Nearly black all over, or in too large a part.",
    "light": "Nearly white all over, or burnt out in too large a part.",
    "low_information": "Flat: hardly any contrast, or hardly any edge.",
    "grey": "Tones of one hue, where colour is wanted.",
    "drawing": "A screenshot, chart or flat drawing, where photographs are wanted.",
    "blocky": "Compressed so much that the blocks of the JPEG show.",
    "blurry": "Nothing in the crop is in focus.",
    "enlarged": "The fine detail of a smaller picture, although it has enough pixels.",
    "exact_duplicate": "The same file as another one, which is kept.",
    "near_duplicate": "The same picture as another one, in another size, crop or encoding.",
}
DUPLICATES = ("exact_duplicate", "near_duplicate")


def explanation(reason: str) -> str:
    """A sentence for a reason; empty for one that explains itself, such as `http_410`."""
    return NOT_FETCHED.get(reason) or NOT_KEPT.get(reason, "")


def in_order(reasons: set[str]) -> list[str]:
    """Reasons in the order in which they are looked for, unknown ones last, by name."""
    known = [*NOT_FETCHED, *NOT_KEPT]
    return sorted(reasons, key=lambda one: (known.index(one) if one in known else 99, one))
