package transport

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

// What Java 17 says of these subjects.
func TestDistinguishedName(t *testing.T) {
	for der, want := range map[string]string{
		"MFkxEzARBgoJkiaJk/IsZAEZFgNvcmcxFzAVBgoJkiaJk/IsZAEZFgdleGFtcGxlMRIwEAYKCZImiZPyLGQBAQwCdTExFTATBgNVBAMMDCBsZWFkIHRyYWlsIA==":                     `CN=\ lead trail\ ,UID=u1,DC=example,DC=org`,
		"MDExFDASBgkqhkiG9w0BCQEWBWFAYi5jMQswCQYDVQQFEwI0MjEMMAoGA1UEAwwDYm9i":                                                                             `CN=bob,2.5.4.5=#13023432,1.2.840.113549.1.9.1=#16056140622e63`,
		"MCIxFDAIBgNVBAMMAWEwCAYDVQQLDAFiMQowCAYDVQQKDAFj":                                                                                                 `O=c,CN=a+OU=b`,
		"MDYxEzARBgNVBAMMCmJhY2tcc2xhc2gxCzAJBgNVBAwMAkRyMRIwEAYDVQQJDAlNYWluIFN0IDE=":                                                                     `STREET=Main St 1,2.5.4.12=#0c024472,CN=back\\slash`,
		"MGkxCzAJBgNVBAYTAkRFMQ8wDQYDVQQIDAZCYXllcm4xETAPBgNVBAcMCE3DvG5jaGVuMRUwEwYDVQQKDAxBLCBCK0M9eDs8eT4xDTALBgNVBAsMBCNvcHMxEDAOBgNVBAMMB2FsaWNlPTE=": `CN=alice\=1,OU=\#ops,O=A\, B\+C\=x\;\<y\>,L=München,ST=Bayern,C=DE`,
		"MAA=": "",
	} {
		b, err := base64.StdEncoding.DecodeString(der)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := nameOf(b); err != nil || got != want {
			t.Errorf("%s, want %s: %v", got, want, err)
		}
	}
}

func TestDistinguishedNameOfOtherStrings(t *testing.T) {
	for der, want := range map[string]string{
		"300d310b300906035504031e020041": "CN=A",       // BMPString
		"300c310a30080603550403140141":   "CN=A",       // T61String
		"300c310a300806035504030c01ff":   "CN=#0c01ff", // not UTF-8
		"300c310a30080603550403030141":   "CN=#030141", // a BIT STRING
		"300c310a300806035504030c0100":   `CN=\00`,
	} {
		b, err := hex.DecodeString(der)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := nameOf(b); err != nil || got != want {
			t.Errorf("%s, want %s: %v", got, want, err)
		}
	}
}

func FuzzDistinguishedName(f *testing.F) {
	b, err := base64.StdEncoding.DecodeString("MCIxFDAIBgNVBAMMAWEwCAYDVQQLDAFiMQowCAYDVQQKDAFj")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, der []byte) {
		name, err := nameOf(der)
		if err == nil && len(name) > 8*len(der) {
			t.Errorf("%d bytes became %d", len(der), len(name))
		}
		if strings.ContainsRune(name, 0) {
			t.Errorf("a zero byte in %q", name)
		}
	})
}
