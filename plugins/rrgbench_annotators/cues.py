"""The words that say whether an observation is there: denials, doubts, and where their reach ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Cue = Literal["deny", "deny one", "denied", "doubt", "doubted", "suggest", "versus", "dismiss", "nothing"]
"""deny, doubt, suggest (an observation suggests the next), dismiss (asked about, not stated): reach forward. deny one: only
the next words. denied, doubted: reach backward. versus: doubts both sides. nothing: neither is meant ("no change in")."""

_CUES: Mapping[Cue, str] = {
    "deny": """
        no | without | negative for | free of | clear of | absence of | absent | no evidence of | no signs of | no sign of |
        nor | neither | none | resolution of | interval resolution of | removal of | interval removal of | lack of | w / o |
        rather than | has resolved from | free from | clearing of | interval clearing of | no longer any | no longer has |
        no longer have | fails to show | not show | not demonstrate | not have | no longer evidence of | no residual |
        negative | not see | do not see | does not show | does not demonstrate | negative chest for
    """,
    "deny one": "not | no longer | isn't | aren't | non | not significantly | not definitely | never",
    "denied": """
        not seen | not identified | not present | not visualized | not visualised | not appreciated | not demonstrated |
        not evident | not noted | not apparent | not found | not detected | not observed | not visible | not clearly seen |
        not definitely seen | not well seen | not well visualized | is absent | are absent | no longer seen |
        no longer present | no longer identified | no longer visualized | no longer evident | no longer visible |
        no longer demonstrated | no longer appreciated | no longer apparent | has resolved | have resolved | had resolved |
        is resolved | are resolved | resolved | now resolved | has been resolved | has cleared | have cleared |
        has now resolved | has completely resolved | have completely resolved | completely resolved | has been removed |
        have been removed | was removed | were removed | been removed | is ruled out | unlikely | less likely |
        resolved in the interval | has disappeared | not currently seen | have since resolved | has since resolved |
        not recognized | not definitely identified | may not be demonstrated | may not be seen | may not be visualized |
        may not be apparent | may not be evident
    """,
    "doubt": """
        possible | possibly | probable | probably | likely | presumably | presumed | perhaps | maybe | suspected |
        suspicious for | suspicion for | suspicion of | questionable | question of | query | may also be | may be |
        might be | could be | cannot exclude | can not exclude | can't exclude | not exclude | cannot rule out |
        difficult to exclude | concern for | concerning for | worrisome for | consider | considerations include |
        differential includes | differential diagnosis includes | differential considerations include | potential |
        potentially | vs | equivocal | concerns for | question | raise the possibility of | possibility of | suspect |
        may have | might have | could have | appearance of
    """,
    "doubted": """
        cannot be excluded | can not be excluded | can't be excluded | cannot be entirely excluded |
        cannot be completely excluded | not excluded | not be excluded | is possible | are possible | is likely |
        are likely | is suspected | are suspected | is questioned | should be considered | could be considered |
        not ruled out | cannot be ruled out | is not excluded | are not excluded | not entirely excluded | is probable |
        not completely excluded | is difficult to exclude | would be difficult to exclude | may be present |
        could be present | not definitely excluded | are considerations | is a consideration
    """,
    "suggest": """
        to suggest | may also represent | may also reflect | may represent | may reflect | could represent | could reflect |
        might represent | might reflect | may be due to | may be secondary to | may be related to | could be due to |
        could be related to | likely represents | likely represent | likely representing | likely reflects |
        likely reflect | likely reflecting | likely due to | likely related to | likely secondary to | probably represents |
        probably represent | probably due to | suggestive of | suggesting | suggest | suggests | may suggest |
        may indicate | may relate to | which may represent | likely to represent | representing possible |
        most likely representing | most likely represents | most likely due to | possibly representing |
        possibly related to | possibly due to | probably related to | favored to represent | favor | favors | favoring |
        favored
    """,
    "versus": "versus | vs . | and / or",
    "dismiss": """
        if | rule out | r / o | to exclude | evaluate for | evaluation for | evaluation of | assess for | history of |
        exclude | excludes | looking for | concern of | clinical concern for | clinical concern of | to evaluate |
        further evaluate | whether | limits evaluation | limited evaluation | limits assessment | in case of |
        correlate for | correlate clinically for | clinical correlation for | correlation for | could obscure |
        may obscure | might obscure | can obscure | clinical suspicion for | clinical suspicion of | clinically suspected |
        concern persists | concern exists | indication | technique | comparison | clinical history | reason for exam |
        recommend | for evaluation | for further evaluation | correlate with
    """,
    "nothing": """
        no change | no interval change | no significant change | no significant interval change | no appreciable change |
        no substantial change | without change | no significant changes | no acute change | without significant change |
        without interval change | no definite change | no large change | no major change | no further change |
        no new change | no increase | no decrease | not significantly changed | not changed | not substantially changed |
        not appreciably changed | not progressed | has not progressed | no progression | not only | no comparison |
        no prior | no priors | no previous | no prior exams | no prior studies | no less | no interval improvement |
        no improvement | no change in | no significant interval changes | not exaggerated | no interval worsening |
        no interval increase | no interval decrease
    """,
}

CUES: Mapping[tuple[str, ...], Cue] = {
    tuple(words): cue for cue, phrases in _CUES.items() for phrase in phrases.split("|") if (words := phrase.split())
}
LONGEST_CUE: Mapping[str, int] = {
    first: max(len(words) for words in CUES if words[0] == first) for first in sorted({words[0] for words in CUES})
}
"""First word of a cue -> words of the longest cue that begins with it."""

SUGGESTING: frozenset[tuple[str, ...]] = frozenset(
    tuple(phrase.split())
    for phrase in (
        "consistent with",
        "compatible with",
        "representing",
        "represents",
        "represent",
        "reflecting",
        "reflects",
        "reflect",
        "indicating",
        "indicative of",
        "due to",
        "secondary to",
        "related to",
        "in keeping with",
        "typical of",
        "characteristic of",
        "concerning for",
        "suspicious for",
        "worrisome for",
    )
)
"""What stands between an observation and what it stands for, without a doubt."""


def _words(table: str) -> frozenset[str]:
    return frozenset(table.split())


VERBS = _words("""
    is are was were be has have had appears appear appeared remains remain shows show showed demonstrates demonstrate
    demonstrated reveals reveal seems seem may might could can cannot would should will must does do did contains
    contain extends extend projects project obscures overlies overlie ends terminates persists measures suggests suggest
    includes include
""")
"""Finite verbs: a subject ends before them, a denial that began before them does not go on behind them."""

BREAKS = _words("""
    but however although though except otherwise which who where aside apart there because while yet whereas this these
    that it with status following after since
""")
"""Words behind which something new is said."""

PREPOSITIONS = _words("""
    in of at on within over overlying along involving near under above below behind to through into from projecting
    projected for between around across about by superimposed upon adjacent beneath
""")

ALTERNATIVES = frozenset({"or", "nor"})
CONJUNCTIONS = frozenset({",", "and", "or", "nor", "/", "as", "well", "plus", "-", "&"})
NEW_STATEMENT = _words("""
    the a an there this normal stable unchanged mild minimal moderate small severe mildly moderately possible possibly
    probable likely degenerative tortuous clear persistent improved increased decreased unremarkable redemonstrated
    again low old calcified chronic heart cardiac lungs lung stably hyperexpanded hyperinflated overlying prominent
    intact is are visualized scattered healed postsurgical atherosclerotic bilateral streaky
""")
"""What begins a statement of its own after a comma or "and", so that a denial does not reach it."""
