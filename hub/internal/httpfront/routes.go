package httpfront

import (
	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// route is what the hub does for an operation, and who may ask for it.
type route struct {
	act    func(*Server, *request) (*httpsx.Answer, error)
	by     access
	rights []core.Right // of a policy, one of which is needed
	meter  core.Meter
}

// The rights that go together.
var (
	reads    = []core.Right{core.RegistryRead}
	writes   = []core.Right{core.RegistryWrite}
	connects = []core.Right{core.ServiceConnect}
	either   = []core.Right{core.RegistryRead, core.ServiceConnect}
)

// routes are those of the operations that this hub has.
var routes = [...]route{
	httpsx.SendTelemetry: {(*Server).sendTelemetry, byIdentity, nil, core.Unmetered}, // which has a throttle of its own
	httpsx.ReceiveC2D:    {(*Server).receiveC2D, byIdentity, nil, core.MeterC2DReceives},
	httpsx.CompleteC2D:   {settles(hubwire.Complete), byIdentity, nil, core.Unmetered},
	httpsx.RejectC2D:     {settles(hubwire.Reject), byIdentity, nil, core.Unmetered},
	httpsx.AbandonC2D:    {settles(hubwire.Abandon), byIdentity, nil, core.Unmetered},

	httpsx.InitUpload:   {(*Server).initUpload, byIdentity, nil, core.MeterUploads},
	httpsx.NotifyUpload: {(*Server).notifyUpload, byIdentity, nil, core.Unmetered},

	httpsx.GetDevice:            {(*Server).getIdentity, byService, reads, core.MeterRegistry},
	httpsx.PutDevice:            {(*Server).putDevice, byService, writes, core.MeterRegistry},
	httpsx.DeleteDevice:         {(*Server).deleteIdentity, byService, writes, core.MeterRegistry},
	httpsx.ListDevices:          {(*Server).listDevices, byService, reads, core.MeterRegistry},
	httpsx.BulkDevices:          {(*Server).bulk, byService, writes, core.MeterRegistry},
	httpsx.GetModule:            {(*Server).getIdentity, byServiceOrDevice, reads, core.MeterRegistry},
	httpsx.PutModule:            {(*Server).putModule, byServiceOrDevice, writes, core.MeterRegistry},
	httpsx.DeleteModule:         {(*Server).deleteIdentity, byServiceOrDevice, writes, core.MeterRegistry},
	httpsx.ListModules:          {(*Server).listModules, byServiceOrDevice, reads, core.MeterRegistry},
	httpsx.GetDeviceStatistics:  {(*Server).deviceStatistics, byService, reads, core.MeterRegistry},
	httpsx.GetServiceStatistics: {(*Server).serviceStatistics, byService, either, core.MeterRegistry},
	httpsx.RegenerateKeys:       {(*Server).regenerateKeys, byService, writes, core.MeterRegistry},

	httpsx.GetTwin:      {(*Server).getTwin, byService, connects, core.Unmetered},
	httpsx.PatchTwin:    {(*Server).patchTwin, byService, connects, core.Unmetered},
	httpsx.PutTwin:      {(*Server).putTwin, byService, connects, core.Unmetered},
	httpsx.Query:        {(*Server).query, byService, connects, core.MeterQueries},
	httpsx.InvokeMethod: {(*Server).invokeMethod, byServiceOrModule, connects, core.Unmetered},
	httpsx.PurgeC2D:     {(*Server).purge, byService, connects, core.Unmetered},
	httpsx.SendC2D:      {(*Server).sendC2D, byService, connects, core.MeterC2DSends},

	httpsx.ListJobs:           {(*Server).listJobs, byService, connects, core.Unmetered},
	httpsx.GetJob:             {(*Server).getJob, byService, connects, core.Unmetered},
	httpsx.PutJob:             {(*Server).putJob, byService, connects, core.Unmetered},
	httpsx.CancelJob:          {(*Server).cancelJob, byService, connects, core.Unmetered},
	httpsx.CreateImportExport: {(*Server).createTransfer, byService, writes, core.MeterRegistry},
	httpsx.ListImportExports:  {(*Server).listTransfers, byService, writes, core.MeterRegistry},
	httpsx.GetImportExport:    {(*Server).getTransfer, byService, writes, core.MeterRegistry},
	httpsx.CancelImportExport: {(*Server).cancelTransfer, byService, writes, core.MeterRegistry},

	httpsx.GetConfiguration:         {(*Server).getConfiguration, byService, reads, core.MeterConfigurations},
	httpsx.PutConfiguration:         {(*Server).putConfiguration, byService, writes, core.MeterConfigurations},
	httpsx.DeleteConfiguration:      {(*Server).deleteConfiguration, byService, writes, core.MeterConfigurations},
	httpsx.ListConfigurations:       {(*Server).listConfigurations, byService, reads, core.MeterConfigurations},
	httpsx.TestConfigurationQueries: {(*Server).testConfigurationQueries, byService, reads, core.MeterConfigurations},
	httpsx.ApplyConfiguration:       {(*Server).applyConfiguration, byService, writes, core.MeterConfigurations},

	httpsx.GetDigitalTwin:   {(*Server).getDigitalTwin, byService, connects, core.Unmetered},
	httpsx.PatchDigitalTwin: {(*Server).patchDigitalTwin, byService, connects, core.Unmetered},
	httpsx.InvokeCommand:    {(*Server).invokeCommand, byService, connects, core.Unmetered},

	httpsx.ReceiveFeedback:  {(*Server).receiveFeedback, byService, connects, core.Unmetered},
	httpsx.CompleteFeedback: {settlesFeedback(hubwire.Complete), byService, connects, core.Unmetered},
	httpsx.AbandonFeedback:  {settlesFeedback(hubwire.Abandon), byService, connects, core.Unmetered},

	httpsx.ListScope:              {(*Server).listScope, byEdgeHub, nil, core.MeterRegistry},
	httpsx.GetInScope:             {(*Server).getInScope, byEdgeHub, nil, core.MeterRegistry},
	httpsx.ListTargetScope:        {(*Server).listTargetScope, byEdgeHub, nil, core.MeterRegistry},
	httpsx.GetOnBehalfOf:          {(*Server).getOnBehalfOf, byEdgeHub, nil, core.MeterRegistry},
	httpsx.PutModuleOnBehalfOf:    {(*Server).putModuleOnBehalfOf, byEdgeHub, nil, core.MeterRegistry},
	httpsx.GetModuleOnBehalfOf:    {(*Server).getModuleOnBehalfOf, byEdgeHub, nil, core.MeterRegistry},
	httpsx.ListModulesOnBehalfOf:  {(*Server).listModulesOnBehalfOf, byEdgeHub, nil, core.MeterRegistry},
	httpsx.DeleteModuleOnBehalfOf: {(*Server).deleteModuleOnBehalfOf, byEdgeHub, nil, core.MeterRegistry},
}

// routeOf returns the route of an operation, or nil when this hub has none.
func routeOf(op httpsx.Operation) *route {
	if int(op) >= len(routes) || routes[op].act == nil {
		return nil
	}
	return &routes[op]
}
