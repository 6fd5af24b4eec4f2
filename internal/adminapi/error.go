package adminapi

// Error is the body of an answer that is no success.
type Error struct {
	Message string `json:"error"`
}
