package device_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
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
