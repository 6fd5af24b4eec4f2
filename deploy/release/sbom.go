package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

const home = "https://github.com/tidelinehq/tideline"

// bill describes one thing that is handed out, and what it is made of, as an SPDX document. Its namespace is the hash of what it describes:
// the same content has the same document.
func (r *release) bill(name, fileName string, content []byte, all []part) ([]byte, error) {
	sum := sha256.Sum256(content)
	hash := hex.EncodeToString(sum[:])
	product := &v2_3.Package{
		PackageName: "tideline", PackageSPDXIdentifier: "Package-tideline", PackageVersion: r.version, PackageFileName: fileName,
		PackageSupplier:         &common.Supplier{Supplier: "The Tideline authors", SupplierType: "Organization"},
		PackageDownloadLocation: "git+" + home + "@" + r.source.commit,
		PackageChecksums:        []common.Checksum{{Algorithm: common.SHA256, Value: hash}},
		PackageHomePage:         home, PackageLicenseConcluded: "Apache-2.0", PackageLicenseDeclared: "Apache-2.0", PackageCopyrightText: "NOASSERTION",
		PackageExternalReferences: []*v2_3.PackageExternalReference{purl("pkg:golang/github.com/tidelinehq/tideline@" + r.version)},
	}
	doc := &v2_3.Document{
		SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: name,
		DocumentNamespace: home + "/spdx/" + name + "/" + hash,
		CreationInfo: &v2_3.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Organization", Creator: "The Tideline authors"}, {CreatorType: "Tool", Creator: "tideline-release"}},
			Created:  r.when.UTC().Format("2006-01-02T15:04:05Z"),
		},
		Packages:      []*v2_3.Package{product},
		Relationships: []*v2_3.Relationship{relation("DOCUMENT", common.TypeRelationshipDescribe, "Package-tideline")},
	}
	for _, p := range all {
		used := p.spdx()
		doc.Packages = append(doc.Packages, used)
		doc.Relationships = append(doc.Relationships, relation("Package-tideline", common.TypeRelationshipDependsOn, used.PackageSPDXIdentifier))
	}
	var b bytes.Buffer
	if err := json.Write(doc, &b, json.Indent(" "), json.EscapeHTML(false)); err != nil {
		return nil, fmt.Errorf("write the bill of materials: %w", err)
	}
	return b.Bytes(), nil
}

// foreign are what an identifier of SPDX may not have in it.
var foreign = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// spdx is the part as SPDX wants it.
func (o *part) spdx() *v2_3.Package {
	name, version := o.module, o.version
	location, url := "https://"+o.module, "pkg:golang/"+o.module+"@"+o.version
	if o.module == "std" {
		version = strings.TrimPrefix(o.version, "go")
		name, location, url = "stdlib", "https://go.dev/dl/", "pkg:golang/stdlib@"+version
	}
	licence := strings.Join(o.licences, " AND ")
	return &v2_3.Package{
		PackageName: name, PackageSPDXIdentifier: common.ElementID("Package-" + foreign.ReplaceAllString(name, "-")), PackageVersion: version,
		PackageDownloadLocation: location, PackageLicenseConcluded: licence, PackageLicenseDeclared: licence, PackageCopyrightText: "NOASSERTION",
		PackageExternalReferences: []*v2_3.PackageExternalReference{purl(url)},
	}
}

func purl(locator string) *v2_3.PackageExternalReference {
	return &v2_3.PackageExternalReference{Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: locator}
}

func relation(from common.ElementID, kind string, to common.ElementID) *v2_3.Relationship {
	return &v2_3.Relationship{RefA: common.MakeDocElementID("", string(from)), RefB: common.MakeDocElementID("", string(to)), Relationship: kind}
}
