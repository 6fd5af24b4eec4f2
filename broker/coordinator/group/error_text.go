package group

import "github.com/tidelinehq/tideline/broker/wire"

// errorText is what goes to the client with an error; nil: nothing.
func errorText(text string) *string {
	if text == "" {
		return nil
	}
	text = wire.ErrorText(text)
	return &text
}
