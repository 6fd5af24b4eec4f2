package schema

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// Source is the TypeScript from which a file of JavaScript was compiled, out of the source map at its end.
func Source(js string) (string, error) {
	_, encoded, ok := strings.Cut(js, "//# sourceMappingURL=data:application/json;base64,")
	if !ok {
		return "", fmt.Errorf("the file has no source map")
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", fmt.Errorf("source map: %w", err)
	}
	var m struct {
		SourcesContent []string `json:"sourcesContent"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return "", fmt.Errorf("source map: %w", err)
	}
	if len(m.SourcesContent) != 1 {
		return "", fmt.Errorf("the source map has not one source sources=%d", len(m.SourcesContent))
	}
	return m.SourcesContent[0], nil
}
