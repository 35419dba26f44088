package compare

import (
	"net/rpc"
	"os"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
)

// handshake marks a worker of go-plugin.
var handshake = plugin.HandshakeConfig{
	ProtocolVersion:  1,
	MagicCookieKey:   "COMPARE_PLUGIN_WORKER",
	MagicCookieValue: "1",
}

// plugins are the services, in the form that go-plugin asks for.
func plugins() plugin.PluginSet {
	set := plugin.PluginSet{}
	for name, fn := range services {
		set[name] = rpcPlugin{service{fn}}
	}
	return set
}

// An rpcPlugin is a service of go-plugin's net/rpc flavour. Its client side is the
// bare *rpc.Client, which all that go-plugin would wrap comes down to.
type rpcPlugin struct{ service service }

func (p rpcPlugin) Server(*plugin.MuxBroker) (any, error)                  { return p.service, nil }
func (p rpcPlugin) Client(_ *plugin.MuxBroker, c *rpc.Client) (any, error) { return c, nil }

// servePlugin is the worker: it serves until its client ends it. It reports
// whether this process is one.
func servePlugin() bool {
	if os.Getenv(handshake.MagicCookieKey) == "" {
		return false
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         plugins(),
		Logger:          hclog.NewNullLogger(),
	})
	return true
}

// openPlugin starts a worker and ends it with the test.
func openPlugin(tb testing.TB, name string) worker {
	tb.Helper()
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  handshake,
		Plugins:          plugins(),
		Cmd:              again(tb),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolNetRPC},
		Logger:           hclog.NewNullLogger(),
	})
	var protocol plugin.ClientProtocol
	var err error
	withoutStderr(tb, func() { protocol, err = client.Client() })
	tb.Cleanup(client.Kill)
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := protocol.Dispense(name)
	if err != nil {
		tb.Fatal(err)
	}
	return worker{raw.(*rpc.Client), "Plugin"} // go-plugin's name for every service
}

// withoutStderr calls f with os.Stderr going nowhere. The connection that go-plugin
// makes logs to what was os.Stderr then, and what it logs when a worker ends, as
// asked, before its last message could be sent would land within a line of
// results.
func withoutStderr(tb testing.TB, f func()) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { null.Close() })
	stderr := os.Stderr
	os.Stderr = null
	defer func() { os.Stderr = stderr }()
	f()
}
