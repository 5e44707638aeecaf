"""Words for emotions in German, French, Spanish and Italian."""

from __future__ import annotations

import unicodedata

from avemo_jax.labels import VOCABULARY, canonical

# Name in VOCABULARY -> words, without accents; German umlauts also as ae, oe, ue. A word that could mean two emotions is in none.
_WORDS = {
    "neutral": ("neutre", "neutro", "neutra", "neutrale"),
    "calm": ("ruhig", "gelassen", "calme", "calma", "calmo", "tranquilo", "tranquila", "tranquillo", "tranquilla"),
    "happy": (
        *("freude", "freudig", "froehlich", "frohlich", "gluecklich", "glucklich"),
        *("joie", "joyeux", "joyeuse", "heureux", "heureuse", "alegria", "alegre", "feliz", "felicidad", "gioia", "felice", "felicita"),
    ),
    "sad": ("trauer", "traurig", "traurigkeit", "tristesse", "triste", "tristeza", "tristezza"),
    "angry": (
        *("wut", "wuetend", "wutend", "aerger", "arger", "aergerlich", "argerlich", "zorn", "zornig", "colere"),
        *("enojo", "enfado", "enojado", "enojada", "enfadado", "enfadada", "ira", "rabia", "rabbia", "arrabbiato", "arrabbiata"),
    ),
    "fearful": (
        *(
            "angst",
            "aengstlich",
            "angstlich",
            "furcht",
            "peur",
            "miedo",
            "temor",
            "asustado",
            "asustada",
            "paura",
            "impaurito",
            "impaurita",
        ),
    ),
    "disgust": ("ekel", "angeekelt", "abscheu", "degout", "asco", "disgusto"),
    "surprised": (
        *("ueberraschung", "uberraschung", "ueberrascht", "uberrascht", "erstaunt", "surpris"),
        *("sorpresa", "sorprendido", "sorprendida", "sorpreso"),
    ),
    "contempt": ("verachtung", "mepris", "desprecio", "disprezzo"),
    "bored": ("langeweile", "gelangweilt", "ennui", "aburrimiento", "aburrido", "aburrida", "noia", "annoiato", "annoiata"),
    "frustrated": ("frustriert", "frustrado", "frustrada", "frustrato", "frustrata"),
}
_NAME_OF = {word: name for name, words in _WORDS.items() for word in words}


def emotion_of(word: str) -> str | None:
    """Return the name in VOCABULARY for a word in any case, with accents or without, also in one of the four languages; None for others."""
    folded = unicodedata.normalize("NFKD", word.strip().casefold())
    plain = "".join(one for one in folded if unicodedata.category(one) != "Mn")
    name = _NAME_OF.get(plain, canonical(plain))
    return name if name in VOCABULARY else None
