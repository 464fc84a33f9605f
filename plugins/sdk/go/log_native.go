//go:build !wasip1

package mapper

import (
	"fmt"
	"os"
)

func log(_ Level, line string) {
	fmt.Fprintln(os.Stderr, line)
}
