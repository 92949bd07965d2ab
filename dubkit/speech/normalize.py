# ruff: noqa: RUF001, E501 - other letters are meant; a row of a table is one line
"""Text as it is spoken, for every aligner: numbers, dates, times, money, units, abbreviations and letters become words.

num2words says the numbers; what it does not know in a language stays as it is written, for espeak-ng to say.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache

from num2words import num2words

_CODES = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "sv")


def _table(rows: str) -> dict[str, dict[str, str]]:
    """A row each: what is written, then its words in the languages of `_CODES`."""
    table: dict[str, dict[str, str]] = {}
    for row in rows.strip().splitlines():
        written, *words = (cell.strip() for cell in row.split("|"))
        found = {code: word for code, word in zip(_CODES, words, strict=True) if word}
        table.update(dict.fromkeys(written.split(), found))
    return table


_SIGNS = _table("""
% | percent | Prozent | pour cent | por ciento | per cento | por cento | procent | procent | процентов | procent
& | and | und | et | y | e | e | en | i | и | och
+ | plus | plus | plus | más | più | mais | plus | plus | плюс | plus
= | equals | gleich | égale | igual | uguale | igual | is | równa | равно | lika med
@ | at | at | arobase | arroba | chiocciola | arroba | at | małpa | собака | snabel-a
° | degrees | Grad | degrés | grados | gradi | graus | graden | stopni | градусов | grader
""")
_UNITS = _table("""
km км | kilometers | Kilometer | kilomètres | kilómetros | chilometri | quilómetros | kilometer | kilometrów | километров | kilometer
m м | meters | Meter | mètres | metros | metri | metros | meter | metrów | метров | meter
cm см | centimeters | Zentimeter | centimètres | centímetros | centimetri | centímetros | centimeter | centymetrów | сантиметров | centimeter
mm мм | millimeters | Millimeter | millimètres | milímetros | millimetri | milímetros | millimeter | milimetrów | миллиметров | millimeter
kg кг | kilograms | Kilogramm | kilogrammes | kilogramos | chilogrammi | quilogramas | kilogram | kilogramów | килограммов | kilogram
g г | grams | Gramm | grammes | gramos | grammi | gramas | gram | gramów | граммов | gram
l л | liters | Liter | litres | litros | litri | litros | liter | litrów | литров | liter
km/h км/ч | kilometers an hour | Kilometer pro Stunde | kilomètres à l'heure | kilómetros por hora | chilometri all'ora | quilómetros por hora | kilometer per uur | kilometrów na godzinę | километров в час | kilometer i timmen
mph | miles an hour | | | | | | | | |
lb lbs | pounds | | | | | | | | |
ft | feet | | | | | | | | |
°C | degrees Celsius | Grad Celsius | degrés Celsius | grados Celsius | gradi Celsius | graus Celsius | graden Celsius | stopni Celsjusza | градусов Цельсия | grader Celsius
°F | degrees Fahrenheit | Grad Fahrenheit | degrés Fahrenheit | grados Fahrenheit | gradi Fahrenheit | graus Fahrenheit | graden Fahrenheit | stopni Fahrenheita | градусов Фаренгейта | grader Fahrenheit
""")
_MONEY = _table("""
$ USD US$ | dollars | Dollar | dollars | dólares | dollari | dólares | dollar | dolarów | долларов | dollar
€ EUR | euros | Euro | euros | euros | euro | euros | euro | euro | евро | euro
£ GBP | pounds | Pfund | livres | libras | sterline | libras | pond | funtów | фунтов | pund
¥ JPY | yen | Yen | yens | yenes | yen | ienes | yen | jenów | иен | yen
₽ RUB | rubles | Rubel | roubles | rublos | rubli | rublos | roebel | rubli | рублей | rubel
""")
_ONE = {"dollars": "dollar", "euros": "euro", "pounds": "pound", "rubles": "ruble", "dólares": "dólar", "libras": "libra",
        "livres": "livre", "dollari": "dollaro", "sterline": "sterlina", "kilometers": "kilometer", "meters": "meter",
        "liters": "liter", "degrees": "degree", "grams": "gram", "kilograms": "kilogram"}  # fmt: skip
_MONTHS = dict(zip(_CODES, (
    "January February March April May June July August September October November December",
    "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "januari februari maart april mei juni juli augustus september oktober november december",
    "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
    "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "januari februari mars april maj juni juli augusti september oktober november december",
), strict=True))  # fmt: skip
_MONTHS_IN = {code: tuple(names.split()) for code, names in _MONTHS.items()}
_BY_ORDINAL = {"en", "de", "pl", "ru", "sv"}  # days of the month are counted so
# before minutes that are not zero, and after the hour alone
_HOURS = {"en": ("", "o'clock"), "de": ("Uhr", "Uhr"), "fr": ("heures", "heures"), "es": ("y", "en punto"),
          "it": ("e", "in punto"), "pt": ("e", "horas"), "nl": ("uur", "uur"), "sv": ("", "")}  # fmt: skip
_ABBREVIATIONS = {
    "en": "mr.=mister mrs.=missus ms.=miz dr.=doctor prof.=professor vs.=versus etc.=etcetera jr.=junior sr.=senior "
          "lt.=lieutenant capt.=captain sgt.=sergeant gen.=general col.=colonel gov.=governor rev.=reverend "
          "ave.=avenue blvd.=boulevard mt.=mount dept.=department approx.=approximately inc.=incorporated corp.=corporation",
    "de": "dr.=Doktor prof.=Professor z.b.=zum_Beispiel d.h.=das_heißt usw.=und_so_weiter bzw.=beziehungsweise ca.=circa "
          "nr.=Nummer str.=Straße hr.=Herr fr.=Frau u.a.=unter_anderem vgl.=vergleiche ggf.=gegebenenfalls mio.=Millionen "
          "mrd.=Milliarden st.=Sankt v.a.=vor_allem evtl.=eventuell max.=maximal min.=minimal",
    "fr": "mme=madame mlle=mademoiselle mm.=messieurs dr=docteur etc.=et_cetera st=saint ste=sainte p.ex.=par_exemple "
          "c.-à-d.=c'est-à-dire n°=numéro env.=environ",
    "es": "sr.=señor sra.=señora srta.=señorita dr.=doctor dra.=doctora ud.=usted uds.=ustedes etc.=etcétera p.ej.=por_ejemplo "
          "núm.=número avda.=avenida",
    "it": "sig.=signor sig.ra=signora dott.=dottor dott.ssa=dottoressa prof.=professor ecc.=eccetera es.=esempio",
    "pt": "sr.=senhor sra.=senhora dr.=doutor dra.=doutora etc.=et_cetera p.ex.=por_exemplo",
    "nl": "dhr.=de_heer mevr.=mevrouw dr.=dokter bijv.=bijvoorbeeld enz.=enzovoort d.w.z.=dat_wil_zeggen ca.=circa",
    "pl": "dr=doktor np.=na_przykład itd.=i_tak_dalej tzn.=to_znaczy ul.=ulica tzw.=tak_zwany",
    "ru": "т.е.=то_есть т.д.=так_далее т.п.=тому_подобное др.=другие",
    "sv": "t.ex.=till_exempel osv.=och_så_vidare bl.a.=bland_annat dr.=doktor d.v.s.=det_vill_säga",
}  # fmt: skip
_LARGE = {  # words that stand between an amount and its currency
    "million", "millions", "billion", "billions", "trillion", "thousand", "bn", "m", "millionen", "milliarden", "mio.",
    "mrd.", "milliard", "milliards", "millones", "milioni", "miliardi", "milhões", "miljoen", "miljard", "milionów",
    "миллионов", "миллиардов", "miljoner", "miljarder",
}  # fmt: skip
_SPELLED_ALWAYS = {"US", "UK", "EU", "UN", "TV", "AM", "PM", "ID", "PC", "CD", "IQ"}
_SPACED = ("fr", "ru", "pl", "sv", "cs", "fi", "no", "uk", "hu", "pt", "es")  # 1 234 is one number
_MINUS = {"en": "minus", "de": "minus", "fr": "moins", "es": "menos", "it": "meno", "pt": "menos",
          "nl": "min", "pl": "minus", "ru": "минус", "sv": "minus"}  # fmt: skip
_POINT = ("en", "zh", "ja", "ko", "th", "he", "hi", "te", "ml", "ur")  # 1.5; others write 1,5
_CHINESE = "零一二三四五六七八九"
_NUMBER = r"\d+(?:[.,'’\u00a0\u202f]\d{3})*(?:[.,]\d+)*"
_MONEY_SIGN = "|".join(sorted(map(re.escape, _MONEY), key=len, reverse=True))
_BEFORE = re.compile(rf"(?<![\w])({_MONEY_SIGN})\s?({_NUMBER})(?:\s({{}})(?!\w))?".replace("{}", "|".join(map(re.escape, sorted(_LARGE, key=len, reverse=True)))), re.IGNORECASE)  # fmt: skip
_AFTER = re.compile(rf"({_NUMBER})\s?({_MONEY_SIGN})(?!\w)")
_UNIT = re.compile(
    rf"(?<![\w.,])({_NUMBER})\s?({'|'.join(sorted(map(re.escape, _UNITS), key=len, reverse=True))})(?!\w)"
)
_TIME = re.compile(r"(?<![\d:.])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])(\s*(?:Uhr|uur)\b)?(?=\s*([ap]\.?\s?m\b)?)", re.IGNORECASE)  # fmt: skip
_ISO_DATE = re.compile(r"(?<!\d)([12]\d{3})-(\d\d?)-(\d\d?)(?!\d)")
_DATE = re.compile(r"(?<!\d)(\d\d?)([./-])(\d\d?)\2((?:[12]\d)?\d\d)(?!\d)")
_CODE = re.compile(
    r"\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Z]*\d+[A-Z]+[A-Z\d]*\b|\b[A-Z]{1,4}\d{2,}\b"
)
_ENGLISH_ORDER = re.compile(r"\b(\d+)(?:st|nd|rd|th)\b", re.IGNORECASE)
_DECADE = re.compile(r"\b(\d{1,3}0)'?s\b")
_DIGITS = re.compile(rf"(?<![a-zA-ZÀ-ɏа-яА-ЯёЁ_\d])({_NUMBER})(年)?")
_SIGN = re.compile("[" + re.escape("".join(_SIGNS)) + "]")
_DOTTED = re.compile(r"(?<![\w.])(?:[^\W\d_]\.\s?){1,}[^\W\d_]\.?(?![\w])")
_CAPITALS = re.compile(r"(?<![\w'])[A-ZÀ-ÞА-Я]{2,5}(?=s?(?![\w']))")
_SAINT = re.compile(r"\bSt\.\s+(?=[A-Z])")
_STREET = re.compile(r"\bSt\b\.?(?=\s*(?:[,.;!?]|$|\s[a-z]))")


def spoken(
    text: str, language: str, known: Callable[[str], bool] = lambda word: False
) -> tuple[str, list[str]]:
    """The text with everything written out that is not written as it is spoken, and the signs that were left out, since
    the language has no word for them here. ``known`` says whether a word in small letters is one of the language.
    """
    language = language.lower().replace("_", "-").split("-")[0]
    text = re.sub(r"(?<=\d)[\u00a0\u202f\u2009](?=\d{3}(?!\d))", "", text)
    if language in _SPACED:
        text = re.sub(r"(?<=\d) (?=\d{3}(?!\d))", "", text)
    text = unicodedata.normalize("NFKC", text.replace("’", "'").replace("ʼ", "'"))
    minus = _MINUS.get(language)
    text = re.sub(r"(?<![\w.)])[-−](?=\d)", f"{minus} ", text) if minus else text
    text = _abbreviations(text, language)
    text = _dates(text, language)
    text = _TIME.sub(lambda m: f" {_time(m, language)} ", text)
    text = _BEFORE.sub(lambda m: f" {_money(m[2], m[3], m[1], language)} ", text)
    text = _AFTER.sub(lambda m: f" {_money(m[1], None, m[2], language)} ", text)
    text = _UNIT.sub(lambda m: f" {_measure(m[1], m[2], language)} ", text)
    text = _CODE.sub(lambda m: f" {_code(m[0], language)} ", text)
    if language == "en":
        text = _ENGLISH_ORDER.sub(
            lambda m: f" {_in_words(int(m[1]), language, 'ordinal') or m[0]} ", text
        )
        text = _DECADE.sub(lambda m: f" {_plural(_number(m[1], language))} ", text)
    text = _DIGITS.sub(lambda m: f" {_number(m[1], language, m[2] or '')} {m[2] or ''}", text)
    left_out: list[str] = []

    def sign(found: re.Match[str]) -> str:
        word = _SIGNS[found[0]].get(language, "")
        left_out.extend([] if word else [found[0]])
        return f" {word} "

    text = _SIGN.sub(sign, text)
    return " ".join(_letters(text, language, known).split()), left_out


@cache
def _abbreviated(language: str) -> tuple[re.Pattern[str], Mapping[str, str]] | None:
    pairs = dict(pair.split("=") for pair in _ABBREVIATIONS.get(language, "").split())
    if not pairs:
        return None
    forms = sorted(pairs, key=len, reverse=True)
    spaced = [re.escape(form).replace(r"\.", r"\.\s?", form.count(".") - 1) for form in forms]
    return re.compile(rf"(?<![\w.])(?:{'|'.join(spaced)})(?!\w)", re.IGNORECASE), pairs


def _abbreviations(text: str, language: str) -> str:
    if language == "en":
        text = re.sub(
            r"\bNo\.\s?(?=\d)", "number ", _STREET.sub("Street", _SAINT.sub("Saint ", text))
        )
    if language == "fr":
        text = re.sub(r"\bM\.\s+(?=[A-ZÀ-Þ])", "monsieur ", text)
    known = _abbreviated(language)
    if known is None:
        return text
    pattern, words = known
    return pattern.sub(lambda m: words[re.sub(r"\s", "", m[0]).lower()].replace("_", " "), text)


def _dates(text: str, language: str) -> str:
    def numeric(found: re.Match[str]) -> str:
        first, second, year = int(found[1]), int(found[3]), found[4]
        american = language == "en" and found[2] == "/" and first <= 12
        day, month = (second, first) if american or second > 12 else (first, second)
        return _date(day, month, year, language) or found[0]

    text = _ISO_DATE.sub(lambda m: _date(int(m[3]), int(m[2]), m[1], language) or m[0], text)
    text = _DATE.sub(numeric, text)
    months = "|".join(_MONTHS_IN.get(language, ()))
    if not months:
        return text
    if language in _BY_ORDINAL:
        dot = r"\." if language == "de" else r"(?:st|nd|rd|th)?\.?"
        text = re.sub(rf"\b([0-3]?\d){dot}\s(?=(?:of )?(?:{months})\b)",
                      lambda m: f"{_day(int(m[1]), language)} ", text)  # fmt: skip
    if language == "en":
        text = re.sub(rf"\b({months})\s([0-3]?\d)(?:st|nd|rd|th)?\b(?![:.]\d)",
                      lambda m: f"{m[1]} {_day(int(m[2]), language)}", text)  # fmt: skip
    return text


def _date(day: int, month: int, year: str, language: str) -> str:
    if not (1 <= day <= 31 and 1 <= month <= 12) or language not in _MONTHS_IN:
        return ""
    name, number = _MONTHS_IN[language][month - 1], _day(day, language)
    spoken_year = _in_words(int(year), language) if len(year) == 2 else _year(int(year), language)
    if language == "en":
        return f" {name} {number} {spoken_year} "
    of = " de " if language in ("es", "pt") else " "
    return f" {number}{of}{name}{of}{spoken_year} "


def _day(day: int, language: str) -> str:
    if language not in _BY_ORDINAL:
        return "premier" if (language, day) == ("fr", 1) else _in_words(day, language)
    word = _in_words(day, language, "ordinal")
    return f"{word}n" if language == "de" else word


def _time(found: re.Match[str], language: str) -> str:
    hour, minute, half = int(found[1]), int(found[2]), found[5]
    between, alone = _HOURS.get(language, ("", ""))
    if language == "en" and half:
        alone = ""
    if language == "zh":
        between = alone = "点"
    words = _in_words(hour, language) or found[1]
    if minute == 0:
        return f"{words} {alone}"
    zero = "oh " if language == "en" and minute < 10 else ""
    minutes = _in_words(minute, language) or found[2]
    seconds = f" {_in_words(int(found[3]), language)}" if found[3] else ""
    return f"{words} {between} {zero}{minutes}{seconds}"


def _money(amount: str, large: str | None, sign: str, language: str) -> str:
    currency = _MONEY[sign.upper()].get(language, "")
    whole, cents = _amount(amount, language)
    if large:
        return f"{_number(amount, language)} {large} {currency}"
    if cents is None:
        return f"{_number(amount, language)} {currency}"
    unit = _ONE.get(currency, currency) if whole == 1 else currency
    said = f"{_count(whole, language)} {unit}"
    return f"{said} {_in_words(cents, language)}" if cents else said


def _amount(token: str, language: str) -> tuple[int, int | None]:
    """Whole units and hundredths; None for amounts that are not said in hundredths."""
    value = _value(token, language)
    hundredths = re.search(r"[.,](\d\d)$", token)
    if isinstance(value, int):
        return value, 0
    return int(value), int(hundredths[1]) if hundredths else None


def _measure(token: str, unit: str, language: str) -> str:
    words = _UNITS[unit].get(language)
    if words is None:
        return f"{token} {unit}"
    if _value(token, language) == 1:
        first, _, rest = words.partition(" ")
        return f"{_count(1, language)} {_ONE.get(first, first)} {rest}".strip()
    return f"{_number(token, language)} {words}"


def _count(value: int, language: str) -> str:
    """Before a noun."""
    if value == 1 and language in ("de", "it", "es"):
        return {"de": "ein", "it": "un", "es": "un"}[language]
    return _in_words(value, language)


def _code(token: str, language: str) -> str:
    """Letters and digits of a code, one by one."""
    parts = (_in_words(int(c), language) if c.isdecimal() else c.upper() for c in token)
    return " ".join(part or c for part, c in zip(parts, token, strict=True))


def _value(token: str, language: str) -> int | float:
    token = re.sub(r"['’\s]", "", token)
    point, group = (".", ",") if language in _POINT else (",", ".")
    whole, found, fraction = token.replace(group, "").partition(point)
    lone = token.count(group) == 1 and point not in token
    if lone and len(token.rpartition(group)[2]) != 3:
        whole, found, fraction = token.partition(group)  # 1.5 where 1,5 is usual
    if found and fraction.isdecimal():
        return float(f"{whole}.{fraction}")
    return int(re.sub(r"\D", "", token))


def _plural(words: str) -> str:
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


def _number(token: str, language: str, after: str = "") -> str:
    value = _value(token, language)
    digits = token.isdecimal()
    if digits and (len(token) > 9 or (token[0] == "0" and len(token) > 1)):
        return " ".join(_in_words(int(c), language) or c for c in token)
    if digits and len(token) == 4 and 1100 <= value < 2100 and (language != "zh" or after):
        return _year(int(value), language)
    words = _in_words(value, language)
    zeros = len(token) - len(token.rstrip("0")) if isinstance(value, float) and value % 1 else 0
    return " ".join([words, *[_in_words(0, language)] * zeros]) if words else token


def _year(value: int, language: str) -> str:
    if language == "en" and 2000 <= value < 2010:
        return _in_words(value, language)
    if language == "zh":
        return "".join(_CHINESE[int(c)] for c in str(value))
    by_kind = "cardinal" if language in ("ja", "ko", "ru", "pl", "cs") else "year"
    return _in_words(value, language, by_kind) or _in_words(value, language) or str(value)


def _in_words(value: float, language: str, to: str = "cardinal") -> str:
    if language == "zh":
        return _chinese(value)
    try:
        words = str(num2words(value, lang=language, to=to))
    except (RuntimeError, OverflowError, ValueError, AttributeError, TypeError, IndexError):
        return ""  # not in this language
    if language == "en":  # as Americans say it
        words = re.sub(r"\band\b|,", " ", words)
    return words.replace("-", " ") if language in ("en", "fr") else words


def _chinese(value: float) -> str:
    """A number as it is read in Chinese."""
    whole, _, fraction = f"{value}".partition(".")
    if len(whole) > 12 or "e" in whole:
        return ""
    point = f"点{''.join(_CHINESE[int(c)] for c in fraction)}" if fraction.strip("0") else ""
    said, number, zero = "", int(whole), False
    for size, name in ((10**8, "亿"), (10**4, "万"), (1, "")):
        group, number = divmod(number, size)
        if not group:
            zero = bool(said)
            continue
        said += ("零" if said and (zero or group < 1000) else "") + _thousands(group) + name
        zero = False
    if said.startswith("一十"):
        said = said[1:]
    return (said or "零") + point


def _thousands(value: int) -> str:
    said, zero = "", False
    for size, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = value // size % 10
        if digit:
            said += ("零" if zero and said else "") + _CHINESE[digit] + name
        zero = not digit
    return said


def _letters(text: str, language: str, known: Callable[[str], bool]) -> str:
    """Letters that are said one by one, set apart; the others as they are."""
    text = _DOTTED.sub(
        lambda m: f" {' '.join(_letter(c, language) for c in m[0] if c.isalpha())} ", text
    )
    if text.isupper() and len(text) > 12:
        return text  # all of it is written in capitals

    def capitals(found: re.Match[str]) -> str:
        word = found[0]
        vowels = set("AEIOUYÄÖÜ") & set(word)
        if language == "en":
            spelled = word in _SPELLED_ALWAYS or not (
                known(word.lower()) or (len(word) > 4 and vowels)
            )
        else:
            spelled = word.isascii() and (not vowels or len(word) < 4)
        return " ".join(_letter(c, language) for c in word) if spelled else word

    return _CAPITALS.sub(capitals, text)


def _letter(letter: str, language: str) -> str:
    return f"{letter}." if language == "en" else letter
