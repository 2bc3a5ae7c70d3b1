package device_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
)

func TestHTTPSASuccessIsOneWhateverItsBody(t *testing.T) {
	for name, body := range map[string]string{"half a body": "ok", "a body that is too long": strings.Repeat("x", 1<<20)} {
		t.Run(name, func(t *testing.T) {
			overREST(t, func(t *testing.T, h *restHub) {
				c := h.dial(nil, nil)
				h.answers(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Length", fmt.Sprint(len(body)+1))
					w.Write([]byte(body))
					w.(http.Flusher).Flush()
					cut(w, r)
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				for range 2 {
					if err := c.Send(ctx, numbered(0)); err != nil {
						t.Error(err)
					}
				}
				if n := len(h.taken()); n != 2 {
					t.Errorf("%d requests for two messages", n)
				}
			})
		})
	}
}

func TestHTTPSA404OfSomebodyElseEndsTheCallAlone(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		c := h.dial(nil, nil)
		h.answers(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<p>no such page</p>", http.StatusNotFound)
		}, status(http.StatusNoContent))
		if err := c.Send(t.Context(), numbered(0)); !errors.Is(err, hubwire.NotFound) {
			t.Error(err)
		}
		if err := c.Send(t.Context(), numbered(1)); err != nil {
			t.Error(err)
		}
	})
}
