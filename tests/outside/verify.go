// Go's crypto/x509 as a judge: verify ROOT PACKAGE NAME... prints a line for each name, "ok" or why not.
package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
)

func main() {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(read(os.Args[1])) {
		panic("no root")
	}
	// The package: key, leaf, issuers.
	var leaf *x509.Certificate
	issuers := x509.NewCertPool()
	for block, rest := pem.Decode(read(os.Args[2])); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			panic(err)
		}
		if leaf == nil {
			leaf = certificate
		} else {
			issuers.AddCert(certificate)
		}
	}
	for _, name := range os.Args[3:] {
		// Server authentication is what is asked for by default.
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: issuers, DNSName: name})
		if err == nil {
			fmt.Println("ok")
		} else {
			fmt.Println(err)
		}
	}
}

func read(path string) []byte {
	bytes, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return bytes
}
