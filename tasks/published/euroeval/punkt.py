"""NLTK's punkt model, by which lm-eval's IFEval checker splits sentences and words."""

from __future__ import annotations

import io

from ....harness.errors import DataError

_RESOURCE = "tokenizers/punkt_tab"
_UNSCORED = "IFEval items that count sentences or words in capitals will have no score"


class Punkt:
    """A resource of ``croco-eval prefetch``; the checker reads it from NLTK's own folders (``NLTK_DATA``)."""

    name = "NLTK punkt_tab"

    def fetch(self) -> str:
        """Downloads the model if it isn't there; gives the folder it lies in. Raises DataError."""
        import nltk
        from huggingface_hub import is_offline_mode

        if not punkt_folder():
            if is_offline_mode():
                raise DataError(f"it is not there and the network is switched off (HF_HUB_OFFLINE): {_UNSCORED}.")
            said = io.StringIO()
            nltk.download("punkt_tab", quiet=True, print_error_to=said)
            if not punkt_folder():
                reason = " ".join(said.getvalue().replace("[nltk_data]", " ").split()) or "NLTK does not say why"
                raise DataError(f"it can't be downloaded ({reason}): {_UNSCORED}.")
        return f"in {punkt_folder()}"


def punkt_folder() -> str | None:
    """The folder in which NLTK finds the model, or None."""
    import nltk

    try:
        return str(nltk.data.find(_RESOURCE))
    except LookupError:
        return None
