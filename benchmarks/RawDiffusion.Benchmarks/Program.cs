using BenchmarkDotNet.Running;
using RawDiffusion.Benchmarks;

switch (args)
{
    case ["peer"]:
        PeerServer.Run();
        return 0;
    case ["profile", ..]:
        return ProfileCommand.Run(args.AsSpan(1));
    case ["emulator", ..]:
        return EmulatorCommand.Run(args.AsSpan(1));
    default:
        BenchmarkSwitcher.FromAssembly(typeof(PeerServer).Assembly).Run(args);
        return 0;
}
