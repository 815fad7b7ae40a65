package hub

import (
	"net/http"

	"storehub/diagnostics"
	"storehub/doors/words"
	"storehub/internal/web"
)

// staffLabels is what stands around the sentence on the staff's page. The sentences
// themselves are doors/words'.
type staffLabels struct{ Title, SinceWord, Button, Language string }

var staffWords = map[string]staffLabels{
	"en": {"Card payments", "Since", "For IT: what the hub saw", "English"},
	"da": {"Kortbetaling", "Siden", "Til IT: hvad hubben så", "Dansk"},
	"de": {"Kartenzahlung", "Seit", "Für die IT: was der Hub gesehen hat", "Deutsch"},
	"es": {"Pagos con tarjeta", "Desde", "Para informática: lo que vio el hub", "Español"},
	"fr": {"Paiements par carte", "Depuis", "Pour l’informatique : ce que le hub a vu", "Français"},
	"it": {"Pagamenti con carta", "Da", "Per l’IT: che cosa ha visto l’hub", "Italiano"},
	"nl": {"Kaartbetalingen", "Sinds", "Voor IT: wat de hub zag", "Nederlands"},
	"pl": {"Płatności kartą", "Od", "Dla IT: co zobaczył hub", "Polski"},
	"pt": {"Pagamentos com cartão", "Desde", "Para a informática: o que o hub viu", "Português"},
	"sv": {"Kortbetalningar", "Sedan", "För IT: vad hubben såg", "Svenska"},
}

type staffData struct {
	staffLabels
	Tone     string
	Sentence string
	Since    string // the clock
	Code     string // of the cause, for IT
	Others   []staffLanguage
}

type staffLanguage struct {
	Code, Name string
	Here       bool
}

// staff is one sentence, one picture and one button for whoever stands at the till. It
// needs no session and tells no more than a cashier hears from the till itself.
func (c *console) staff(w http.ResponseWriter, r *http.Request) {
	live := c.news.Stream("/console/staff/live")
	lang := r.URL.Query().Get("lang")
	if !words.Known(lang) {
		lang = words.Match(r.Header.Get("Accept-Language"), c.hub.cfg.API.Language)
	}
	s := c.hub.status()
	d := staffData{staffLabels: staffWords[lang], Tone: web.Good, Sentence: words.In(lang, s.OperatorMessage)}
	switch {
	case s.Connectivity.State == "unknown" && s.Verdict != diagnostics.Blocked:
		d.Tone = web.Off
	case !s.CanTakePayments:
		d.Tone = web.Bad
		since := s.Connectivity.Since
		if since.IsZero() && len(s.Causes) > 0 {
			since = s.Causes[0].Since
		}
		if !since.IsZero() {
			d.Since = since.Local().Format("15:04")
		}
	case s.Verdict == diagnostics.Degraded:
		d.Tone = web.Warn
	}
	if len(s.Causes) > 0 {
		d.Code = s.Causes[0].Code
	}
	for _, l := range words.Languages() {
		d.Others = append(d.Others, staffLanguage{l, staffWords[l].Language, l == lang})
	}
	c.site.Show(w, r, http.StatusOK, "staff.html", web.Page{Title: d.Title, Lang: lang, Bare: true, Live: live, Data: d})
}
