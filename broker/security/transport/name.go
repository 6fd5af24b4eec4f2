package transport

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// attributeNames are those that RFC 2253 has a word for; all others are written by number.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.9": "STREET",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

// maxNameBytes bounds a distinguished name as it is written.
const maxNameBytes = 16 << 10

// attribute is one type and value of a distinguished name.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// DistinguishedName returns the subject of a certificate as Java's X500Principal.getName
// writes it, because that is what operators have rules and lists for.
func DistinguishedName(c *x509.Certificate) (string, error) { return nameOf(c.RawSubject) }

// nameOf writes a subject in DER.
func nameOf(der []byte) (string, error) {
	var parts []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &parts); err != nil {
		return "", fmt.Errorf("subject is no distinguished name: %w", err)
	} else if len(rest) > 0 {
		return "", fmt.Errorf("subject has bytes behind it: bytes=%d", len(rest))
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		var set []attribute
		if rest, err := asn1.UnmarshalWithParams(parts[i].FullBytes, &set, "set"); err != nil {
			return "", fmt.Errorf("subject has a part that is no set: %w", err)
		} else if len(rest) > 0 {
			return "", fmt.Errorf("subject has bytes behind a part: bytes=%d", len(rest))
		}
		for j, a := range set {
			if j > 0 {
				b.WriteByte('+')
			}
			appendAttribute(&b, a)
		}
		if b.Len() > maxNameBytes {
			return "", fmt.Errorf("subject is too long: limit=%d", maxNameBytes)
		}
	}
	return b.String(), nil
}

// appendAttribute writes type=value; what is no text is written as the hexadecimal of its DER.
func appendAttribute(b *strings.Builder, a attribute) {
	word, known := attributeNames[a.Type.String()]
	text, isText := textOf(a.Value)
	if known && isText {
		b.WriteString(word + "=")
		appendEscaped(b, text)
		return
	}
	if !known {
		word = a.Type.String()
	}
	b.WriteString(word + "=#" + hex.EncodeToString(a.Value.FullBytes))
}

// textOf reads a value that is a string.
func textOf(v asn1.RawValue) (string, bool) {
	if v.Class != asn1.ClassUniversal || v.IsCompound {
		return "", false
	}
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String:
		return string(v.Bytes), utf8.Valid(v.Bytes)
	case asn1.TagT61String, asn1.TagGeneralString:
		return latin1(v.Bytes), true
	case asn1.TagBMPString:
		if len(v.Bytes)%2 != 0 {
			return "", false
		}
		units := make([]uint16, len(v.Bytes)/2)
		for i := range units {
			units[i] = uint16(v.Bytes[2*i])<<8 | uint16(v.Bytes[2*i+1])
		}
		return string(utf16.Decode(units)), true
	}
	return "", false
}

func latin1(b []byte) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}

// appendEscaped writes a value as RFC 2253 wants it, and as Java does where that goes
// further: '#' and '=' are escaped wherever they stand, spaces at both ends.
func appendEscaped(b *strings.Builder, text string) {
	leading := len(text) - len(strings.TrimLeft(text, " "))
	trailing := len(strings.TrimRight(text, " "))
	for i, r := range text {
		switch {
		case r == 0:
			b.WriteString(`\00`)
			continue
		case strings.ContainsRune(`,=+<>#;\"`, r), r == ' ' && (i < leading || i >= trailing):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
}
