// Package words says in a shop's language what its staff is told in English.
//
// A text is one or more sentences, and a sentence is what is translated: the files
// hold each English sentence with its translation and are a translator's to edit.
// Nothing else is known of a language here; a program's texts are English, and this
// package is asked last, where a person reads.
package words

import (
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
)

// English is what everything is written in.
const English = "en"

//go:embed *.json
var files embed.FS

// catalogue is, for each language but English, what each sentence is in it.
var catalogue = load()

// languages are those there are, English first.
var languages = known()

var matcher = language.NewMatcher(tags())

func load() map[string]map[string]string {
	names, err := files.ReadDir(".")
	if err != nil {
		panic(err) // it is built in
	}
	all := map[string]map[string]string{}
	for _, n := range names {
		b, err := files.ReadFile(n.Name())
		if err != nil {
			panic(err)
		}
		var sentences map[string]string
		if err := json.Unmarshal(b, &sentences); err != nil {
			panic(fmt.Errorf("read %s: %w", n.Name(), err))
		}
		all[strings.TrimSuffix(n.Name(), ".json")] = sentences
	}
	return all
}

func known() []string {
	list := []string{English}
	for l := range catalogue {
		list = append(list, l)
	}
	slices.Sort(list[1:])
	return list
}

func tags() []language.Tag {
	var list []language.Tag
	for _, l := range languages {
		list = append(list, language.MustParse(l))
	}
	return list
}

// Languages are the codes (ISO 639-1) there are words in, English first.
func Languages() []string { return slices.Clone(languages) }

// Known says whether there are words in a language.
func Known(lang string) bool { return slices.Contains(languages, lang) }

// Match is the language of ours that an Accept-Language header asks for first, and
// otherwise, also where it cannot be read, the store's own. "" is English.
func Match(accept, own string) string {
	if own == "" {
		own = English
	}
	if accept == "" || len(accept) > 256 {
		return own
	}
	wanted, _, err := language.ParseAcceptLanguage(accept)
	if err != nil {
		return own
	}
	if _, i, confidence := matcher.Match(wanted...); confidence >= language.High {
		return languages[i]
	}
	return own
}

// In is an English text in a language. A text of which a sentence is not known stays
// English as a whole, since half of each helps nobody.
func In(lang, text string) string {
	sentences, ok := catalogue[lang]
	if !ok || text == "" {
		return text
	}
	var out []string
	for _, s := range Sentences(text) {
		said := sentences[s]
		if said == "" {
			return text
		}
		out = append(out, said)
	}
	return strings.Join(out, " ")
}

// down begins a sentence that goes on with its cause.
const down = "Card payments are down"

// Sentences takes a text apart into what is translated. "Card payments are down: the
// line is cut." is two: that they are, and why.
func Sentences(text string) []string {
	var list []string
	if cause, ok := strings.CutPrefix(text, down+": "); ok {
		first, size := utf8.DecodeRuneInString(cause)
		list, text = append(list, down+"."), string(unicode.ToUpper(first))+cause[size:]
	}
	for {
		s, rest, more := strings.Cut(text, ". ")
		if !more {
			return append(list, text)
		}
		list, text = append(list, s+"."), rest
	}
}
