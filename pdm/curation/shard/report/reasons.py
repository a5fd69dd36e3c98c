"""Explains the reasons for missing pictures to the readers of the report."""

# Reasons of `scrape`, in the order of its checks.
NOT_FETCHED = {
    "bad_url": "The URL is malformed or must not be fetched.",
    "duplicate_url": "The sources name the same URL earlier.",
    "removed": "Its URL or its content is in the list of removals.",
    "blocked_address": "The host has a private or local address.",
    "opted_out": "The server forbids it in robots.txt or in the headers of its response.",
    "robots_unavailable": "The host's robots.txt could not be read.",
    "dns": "The host's name does not exist or could not be looked up.",
    "connect": "There was no connection to the host.",
    "tls": "The host has no valid certificate.",
    "timeout": "The response did not come in time.",
    "redirect": "Redirected too often, to nowhere, or to a URL that is not allowed.",
    "reset": "The connection broke before the response was complete.",
    "too_large": "More bytes than the limit.",
    "short_body": "The response is cut short or empty.",
    "bad_response": "The response is not valid HTTP.",
    "http_404": "The server does not have it any more.",
    "hash_mismatch": "Its sha256 differs from that of the list.",
    "not_fetched": "The fetch ended before it was requested.",
    "hidden": "A hidden file or folder, or one that a system or program created for itself.",
    "not_image": "Not an image, by its name and its first bytes.",
    "outside_folder": "A link out of the folder.",
    "unreadable_file": "It could not be read from the disk.",
}
# Reasons of `curate`, in the order of its rules.
NOT_KEPT = {
    "unreadable": "Not a whole image: cut short, damaged, or another kind of file.",
    "hdr": "High dynamic range (PQ or HLG), which has no one right form in sRGB.",
    "animated": "The file has several frames.",
    "damaged": "The bytes on disk differ from those that were fetched.",
    "decode_timeout": "Decoding took longer than the limit.",
    "decoder_crash": "The decoder crashed.",
    "too_many_pixels": "More pixels than the limit, as in decompression bombs. Not decoded.",
    "border": "A small image in a wide frame.",
    "too_small": "The crop would have to be enlarged.",
    "wrong_shape": "The crop would lose most of the image.",
    "no_people": "Too few faces that are large enough, where people are wanted.",
    "crowd": "More faces than are wanted.",
    "face_cut": "Every crop would cut the largest face.",
    "transparent": "Much of it is transparent; the background would show.",
    "dark": "Nearly black all over, or in too large a part.",
    "light": "Nearly white all over, or burnt out in too large a part.",
    "low_information": "Flat: hardly any contrast, or hardly any edge.",
    "grey": "Tones of one hue, where colour is wanted.",
    "drawing": "A drawing, rendered image, screenshot or chart, where photographs are wanted.",
    "other_content": "Something else than the examples or words of curate.content ask for.",
    "blocky": "Compressed so much that the blocks of the JPEG show.",
    "blurry": "Nothing in the crop is in focus.",
    "enlarged": "The fine detail of a smaller image, although it has enough pixels.",
    "exact_duplicate": "The same file as another one, which is kept.",
    "near_duplicate": "The same image as another one, in another size, crop or encoding.",
}
ACRONYMS = ("dns", "hdr", "http", "tls", "url")
DUPLICATES = ("exact_duplicate", "near_duplicate")


def explain_reason(reason: str) -> str:
    """A sentence for a reason; empty for one that explains itself, such as `http_410`."""
    return NOT_FETCHED.get(reason) or NOT_KEPT.get(reason, "")


def words_of(reason: str) -> str:
    """A reason as words, such as "too small" or "HTTP 404"."""
    return " ".join(word.upper() if word in ACRONYMS else word for word in reason.split("_"))


def sort_reasons(reasons: set[str]) -> list[str]:
    """Reasons in the order of the checks; unknown ones last, by name."""
    known = [*NOT_FETCHED, *NOT_KEPT]
    return sorted(reasons, key=lambda one: (known.index(one) if one in known else 99, one))
