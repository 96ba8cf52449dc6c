using BenchmarkDotNet.Running;
using RawDiffusion.Benchmarks;

if (args is ["peer"])
    PeerServer.Run();
else
    BenchmarkSwitcher.FromAssembly(typeof(PeerServer).Assembly).Run(args);
