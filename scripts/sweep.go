// A minimal scanner, which bench_sweep.py sets beside `camlock check`: sweep ROOT reads host:port from standard input, a
// line each, and prints how many of them showed a certificate that the root vouches for. A hundred at once.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	root, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	targets := make(chan string)
	var good atomic.Int64
	var workers sync.WaitGroup
	for i := 0; i < 100; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for target := range targets {
				dialer := &net.Dialer{Timeout: 5 * time.Second}
				connection, err := tls.DialWithDialer(dialer, "tcp", target, &tls.Config{RootCAs: roots})
				if err == nil {
					good.Add(1)
					connection.Close()
				}
			}
		}()
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		targets <- lines.Text()
	}
	close(targets)
	workers.Wait()
	fmt.Println(good.Load())
}
