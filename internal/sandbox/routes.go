package sandbox

import (
	"slices"
	"strings"
)

// route is one call of Stripe's API.
type route struct {
	method     string
	path       string   // * stands for an id
	params     []string // the parameters it takes, beside expand
	restricted bool     // whether a restricted key may
	run        func(*Sandbox, *call) (any, *apiError)
}

func (r *route) takes(param string) bool {
	return param == "expand" || slices.Contains(r.params, param)
}

const (
	everyKey = true
	fullKey  = false
)

// paging is what all lists take.
const paging = "limit starting_after ending_before"

// routes are all calls; one without a star stands before one with it.
var routes = allRoutes()

func allRoutes() (all []*route) {
	add := func(method, path string, restricted bool, params string, run func(*Sandbox, *call) (any, *apiError)) {
		all = append(all, &route{method, path, strings.Fields(params), restricted, run})
	}
	const intentParams = "amount currency description metadata payment_method_types payment_method_options receipt_email " +
		"setup_future_usage statement_descriptor statement_descriptor_suffix transfer_group customer capture_method "

	add("POST", "/v1/terminal/connection_tokens", everyKey, "location", (*Sandbox).createToken)
	add("POST", "/v1/terminal/connection_tokens/activate", everyKey, "secret", (*Sandbox).activateToken)

	const locationParams = "display_name address phone configuration_overrides metadata"
	add("POST", "/v1/terminal/locations", everyKey, locationParams, (*Sandbox).createLocation)
	add("GET", "/v1/terminal/locations", everyKey, paging, (*Sandbox).listLocations)
	add("GET", "/v1/terminal/locations/*", everyKey, "", (*Sandbox).getLocation)
	add("POST", "/v1/terminal/locations/*", everyKey, locationParams, (*Sandbox).updateLocation)
	add("DELETE", "/v1/terminal/locations/*", everyKey, "", (*Sandbox).deleteLocation)

	const configurationParams = "name offline reboot_window reader_security cellular bbpos_wisepos_e stripe_s700 stripe_s710 wifi"
	add("POST", "/v1/terminal/configurations", everyKey, configurationParams, (*Sandbox).createConfiguration)
	add("GET", "/v1/terminal/configurations", everyKey, paging+" is_account_default", (*Sandbox).listConfigurations)
	add("GET", "/v1/terminal/configurations/*", everyKey, "", (*Sandbox).getConfiguration)
	add("POST", "/v1/terminal/configurations/*", everyKey, configurationParams, (*Sandbox).updateConfiguration)
	add("DELETE", "/v1/terminal/configurations/*", everyKey, "", (*Sandbox).deleteConfiguration)

	add("POST", "/v1/terminal/readers", everyKey, "registration_code label location metadata", (*Sandbox).createReader)
	add("GET", "/v1/terminal/readers", everyKey, paging+" device_type location serial_number status", (*Sandbox).listReaders)
	add("GET", "/v1/terminal/readers/*", everyKey, "", (*Sandbox).getReader)
	add("POST", "/v1/terminal/readers/*", everyKey, "label metadata", (*Sandbox).updateReader)
	add("DELETE", "/v1/terminal/readers/*", everyKey, "", (*Sandbox).deleteReader)
	add("POST", "/v1/terminal/readers/*/process_payment_intent", everyKey, "payment_intent process_config", (*Sandbox).processIntent)
	add("POST", "/v1/terminal/readers/*/process_setup_intent", everyKey, "setup_intent allow_redisplay process_config", (*Sandbox).processSetup)
	add("POST", "/v1/terminal/readers/*/refund_payment", everyKey, "payment_intent charge amount metadata", (*Sandbox).processRefund)
	add("POST", "/v1/terminal/readers/*/set_reader_display", everyKey, "type cart", (*Sandbox).setDisplay)
	add("POST", "/v1/terminal/readers/*/cancel_action", everyKey, "", (*Sandbox).cancelAction)
	add("POST", "/v1/test_helpers/terminal/readers/*/present_payment_method", everyKey,
		"type card_present interac_present amount_tip", (*Sandbox).present)

	add("POST", "/v1/payment_intents", everyKey, intentParams, (*Sandbox).createIntent)
	add("GET", "/v1/payment_intents", everyKey, paging+" created customer", (*Sandbox).listIntents)
	add("GET", "/v1/payment_intents/search", everyKey, "query limit page", (*Sandbox).searchIntents)
	add("GET", "/v1/payment_intents/*", everyKey, "client_secret", (*Sandbox).getIntent)
	add("POST", "/v1/payment_intents/*", everyKey, intentParams, (*Sandbox).updateIntent)
	add("POST", "/v1/payment_intents/*/capture", everyKey, "amount_to_capture metadata final_capture", (*Sandbox).captureIntent)
	add("POST", "/v1/payment_intents/*/cancel", everyKey, "cancellation_reason", (*Sandbox).cancelIntent)
	add("GET", "/v1/charges", everyKey, paging+" payment_intent created", (*Sandbox).listCharges)
	add("GET", "/v1/charges/*", everyKey, "", (*Sandbox).getCharge)
	add("POST", "/v1/charges/*", everyKey, "receipt_email metadata", (*Sandbox).updateCharge)

	add("POST", "/v1/refunds", everyKey, "payment_intent charge amount reason metadata", (*Sandbox).createRefund)
	add("GET", "/v1/refunds", everyKey, paging+" payment_intent charge created", (*Sandbox).listRefunds)
	add("GET", "/v1/refunds/*", everyKey, "", (*Sandbox).getRefund)

	add("POST", "/v1/setup_intents", everyKey, "payment_method_types customer description usage metadata", (*Sandbox).createSetup)
	add("GET", "/v1/setup_intents/*", everyKey, "client_secret", (*Sandbox).getSetup)

	add("GET", "/v1/events", everyKey, paging+" type types created delivery_success", (*Sandbox).listEvents)
	add("GET", "/v1/events/*", everyKey, "", (*Sandbox).getEvent)

	add("POST", "/v1/customers", fullKey, "email name description phone metadata", (*Sandbox).createCustomer)
	add("GET", "/v1/customers", fullKey, paging+" email created", (*Sandbox).listCustomers)
	add("GET", "/v1/customers/*", fullKey, "", (*Sandbox).getCustomer)
	add("GET", "/v1/payment_methods/*", fullKey, "", (*Sandbox).getMethod)
	add("POST", "/v1/payment_methods/*/attach", fullKey, "customer", (*Sandbox).attachMethod)

	add("GET", "/v1/account", everyKey, "", (*Sandbox).getAccount)
	add("GET", "/v1/balance", fullKey, "", (*Sandbox).getBalance)
	add("GET", "/v1/payouts", fullKey, paging, (*Sandbox).listPayouts)
	add("POST", "/v1/webhook_endpoints", fullKey, "url enabled_events description api_version metadata", (*Sandbox).createEndpoint)
	add("POST", "/v1/webhook_endpoints/*", fullKey, "enabled_events disabled", (*Sandbox).updateEndpoint)
	add("GET", "/v1/webhook_endpoints", everyKey, paging, (*Sandbox).listEndpoints)
	return all
}

// findRoute returns the first route that fits and what its stars stood for.
func findRoute(method, path string) (*route, []string) {
	for _, r := range routes {
		if r.method != method {
			continue
		}
		if ids, ok := matchSegments(r.path, path); ok {
			return r, ids
		}
	}
	return nil, nil
}

func matchSegments(pattern, path string) (stars []string, ok bool) {
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return nil, false
	}
	for i := range want {
		switch {
		case want[i] == "*" && have[i] != "":
			stars = append(stars, have[i])
		case want[i] != have[i]:
			return nil, false
		}
	}
	return stars, true
}
