// Package golden reads the golden bytes of records, which are promises: what was written once must be read for good. They are kept
// as annotated hex, so that whoever changes a format sees in the diff which byte it is. Tests import it, and nothing else.
//
//	= name             what follows are the bytes of one thing
//	0001 0000  # why   bytes, with spaces wherever they help, and comments
package golden
