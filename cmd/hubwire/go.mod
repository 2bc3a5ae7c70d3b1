module github.com/hubwire/hubwire/cmd/hubwire

go 1.26

require (
	github.com/google/go-cmp v0.7.0
	github.com/hubwire/hubwire v0.0.0
	github.com/hubwire/hubwire/upload v0.0.0
	github.com/spf13/cobra v1.10.2
	github.com/spf13/pflag v1.0.9
)

require (
	github.com/Azure/azure-sdk-for-go/sdk/azcore v1.22.0 // indirect
	github.com/Azure/azure-sdk-for-go/sdk/internal v1.12.0 // indirect
	github.com/Azure/azure-sdk-for-go/sdk/storage/azblob v1.8.0 // indirect
	github.com/coder/websocket v1.8.15 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	golang.org/x/net v0.56.0 // indirect
	golang.org/x/text v0.38.0 // indirect
)

replace (
	github.com/hubwire/hubwire => ../..
	github.com/hubwire/hubwire/upload => ../../upload
)
