package dialled

import (
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
