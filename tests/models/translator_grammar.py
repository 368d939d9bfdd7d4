"""A piece of English and German in which every sentence has one translation: what the translator of tests/data/translator
is taught (tests/data/make_translator.py) and asked (tests/cli/test_readme.py). One sentence in eight is kept from it.

Articles and endings follow gender, number and case, and the second verb stands at the end, so that a word-by-word
dictionary is not enough.
"""
import zlib

# English, plural, German, plural; by gender.
NOUNS = {
    "m": [("dog", "dogs", "Hund", "Hunde"), ("table", "tables", "Tisch", "Tische"), ("tree", "trees", "Baum", "Bäume"),
          ("garden", "gardens", "Garten", "Gärten"), ("train", "trains", "Zug", "Züge"), ("letter", "letters", "Brief", "Briefe"),
          ("apple", "apples", "Apfel", "Äpfel"), ("friend", "friends", "Freund", "Freunde")],
    "f": [("cat", "cats", "Katze", "Katzen"), ("street", "streets", "Straße", "Straßen"), ("city", "cities", "Stadt", "Städte"),
          ("door", "doors", "Tür", "Türen"), ("flower", "flowers", "Blume", "Blumen"), ("bridge", "bridges", "Brücke", "Brücken"),
          ("lamp", "lamps", "Lampe", "Lampen"), ("woman", "women", "Frau", "Frauen")],
    "n": [("house", "houses", "Haus", "Häuser"), ("book", "books", "Buch", "Bücher"), ("child", "children", "Kind", "Kinder"),
          ("window", "windows", "Fenster", "Fenster"), ("car", "cars", "Auto", "Autos"), ("picture", "pictures", "Bild", "Bilder"),
          ("horse", "horses", "Pferd", "Pferde"), ("ship", "ships", "Schiff", "Schiffe")],
}
ADJECTIVES = {"small": "klein", "big": "groß", "old": "alt", "new": "neu", "beautiful": "schön", "red": "rot",
              "green": "grün", "good": "gut", "white": "weiß", "strange": "seltsam"}
NUMBERS = {"two": "zwei", "three": "drei", "four": "vier", "five": "fünf", "six": "sechs"}
# English with each ending, German as ich, du, er, wir, and as it is in a dictionary.
VERBS = [("see", "sees", "sehe", "siehst", "sieht", "sehen"), ("buy", "buys", "kaufe", "kaufst", "kauft", "kaufen"),
         ("find", "finds", "finde", "findest", "findet", "finden"), ("need", "needs", "brauche", "brauchst", "braucht", "brauchen"),
         ("draw", "draws", "zeichne", "zeichnest", "zeichnet", "zeichnen"), ("love", "loves", "liebe", "liebst", "liebt", "lieben")]
MODALS = [("want to", "wants to", "will", "willst", "will", "wollen"), ("can", "can", "kann", "kannst", "kann", "können"),
          ("must", "must", "muss", "musst", "muss", "müssen")]
# English, whether the verb has an s, German, place in the rows above.
PERSONS = [("I", 0, "ich", 2), ("you", 0, "du", 3), ("he", 1, "er", 4), ("she", 1, "sie", 4), ("we", 0, "wir", 5),
           ("they", 0, "sie", 5)]
GREETINGS = [("Good morning.", "Guten Morgen."), ("Good evening.", "Guten Abend."), ("Good night.", "Gute Nacht."),
             ("Thank you.", "Danke."), ("How are you?", "Wie geht es dir?"), ("I am hungry.", "Ich habe Hunger.")]
# Article and ending of the adjective by case and gender; p: plural.
DEFINITE = {("nominative", "m"): ("der", "e"), ("nominative", "f"): ("die", "e"), ("nominative", "n"): ("das", "e"),
            ("nominative", "p"): ("die", "en"), ("accusative", "m"): ("den", "en"), ("accusative", "f"): ("die", "e"),
            ("accusative", "n"): ("das", "e"), ("accusative", "p"): ("die", "en")}
INDEFINITE = {"m": ("einen", "en"), "f": ("eine", "e"), "n": ("ein", "es")}  # in the accusative


def noun_phrase(r, case, is_plural):
    """The ... in both languages."""
    gender = r.choice("mfn")
    one, many, eins, viele = r.choice(NOUNS[gender])
    article, ending = DEFINITE[case, "p" if is_plural else gender]
    adjective = r.choice([None, *ADJECTIVES])
    english = ["the", adjective, many if is_plural else one]
    german = [article, adjective and ADJECTIVES[adjective] + ending, viele if is_plural else eins]
    return english, german


def object_phrase(r):
    kind = r.randrange(4)
    if kind < 2:
        return noun_phrase(r, "accusative", kind == 1)
    gender = r.choice("mfn")
    one, many, eins, viele = r.choice(NOUNS[gender])
    adjective = r.choice([None, *ADJECTIVES])
    if kind == 2:
        article, ending = INDEFINITE[gender]
        a = "an" if (adjective or one)[0] in "aeiou" else "a"
        return [a, adjective, one], [article, adjective and ADJECTIVES[adjective] + ending, eins]
    number = r.choice(list(NUMBERS))
    return [number, adjective, many], [NUMBERS[number], adjective and ADJECTIVES[adjective] + "e", viele]


def say(words, mark):
    text = " ".join(w for w in words if w)
    return text[0].upper() + text[1:] + mark


def sentence(r):
    """(English, German), drawn with r."""
    kind = r.randrange(16)
    if kind == 0:
        return r.choice(GREETINGS)
    if kind < 5:
        is_plural = r.random() < 0.4
        english, german = noun_phrase(r, "nominative", is_plural)
        adjective, negated = r.choice(list(ADJECTIVES)), r.random() < 0.3
        are, sind = ("are", "sind") if is_plural else ("is", "ist")
        return (say([*english, are, negated and "not", adjective], "."),
                say([*german, sind, negated and "nicht", ADJECTIVES[adjective]], "."))
    if kind == 5:
        is_plural = r.random() < 0.4
        english, german = noun_phrase(r, "nominative", is_plural)
        return (say(["where", "are" if is_plural else "is", *english], "?"),
                say(["wo", "sind" if is_plural else "ist", *german], "?"))
    person, has_s, jemand, place = r.choice(PERSONS)
    verb, (english, german) = r.choice(VERBS), object_phrase(r)
    if kind < 11:
        return say([person, verb[has_s], *english], "."), say([jemand, verb[place], *german], ".")
    modal = r.choice(MODALS)
    return say([person, modal[has_s], verb[0], *english], "."), say([jemand, modal[place], *german, verb[5]], ".")


def is_kept(english):
    """Whether the sentence is kept from the model while it learns."""
    return english not in dict(GREETINGS) and zlib.crc32(english.encode()) % 8 == 0
