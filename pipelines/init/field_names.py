"""Names that fields often have, by what such fields are for."""

from __future__ import annotations

import re

INPUT_NAMES = re.compile(
    r"data|inputs?|source|src|features?|feats|x|question|words?|graphemes?|letters|orth\w*|audio\w*|wav|path|sound"
)
TARGET_NAMES = re.compile(
    r"class(es)?|targets?|tgt|trg|labels?|outputs?|y|ali(gnment)?s?|sentences?|transcript(ion)?s?|raw_text|text"
    r"|norm\w*_text|phones?|phonemes?|pron\w*|answer|category|intent|command|word|tags|ner_tags|pos_tags"
)
TAG_NAMES = re.compile(
    r"(seq_?tag|tag|key|__key__|(\w+_)?u?u?id|id_?x?|uid|utt_?id|utterance|utt|name|file_?name|file|index)"
)
OF_TEXT = re.compile(r"(sentence|prompt|text|transcript)_id")
METADATA_NAMES = re.compile(
    r"(client|speaker|spk|user|chapter|reader|session|recording|worker)\w*|gender|sex|age|accents?|dialect|locale"
    r"|lang(uage)?|lang_id|utt2\w+|(up|down)_?votes|segment|variant|domain|source_file|license|url|split"
    r"|duration\w*|offset|start|end|begin|channels?|(sampl\w+_)?rate|sampling_rate|num_\w+|n_\w+|snr|wer|cer|type"
)
