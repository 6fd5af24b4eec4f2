package record

// Begin is what TraceParent inflates with.
func Begin(c Codec, dst, src []byte) []byte { return c.begin(dst, src) }
