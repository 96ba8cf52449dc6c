using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.PtxEmulator.Driver;

/// <summary>What was decoded is remembered while a module somewhere holds it: the devices of a process decode the same PTX once.</summary>
internal static class DecodedModules
{
    /// <summary>From so many on, those that nobody holds any more are looked for.</summary>
    private const int Many = 1024;

    private static readonly ConcurrentDictionary<string, WeakReference<DecodedModule>> s_known = new();

    /// <exception cref="Parsing.PtxException">The text is malformed or uses what the emulator does not execute.</exception>
    public static DecodedModule Get(string name, ReadOnlySpan<byte> image)
    {
        // The name is in messages, so it belongs to the module.
        string key = $"{Convert.ToHexString(SHA256.HashData(image))} {name}";
        if (s_known.TryGetValue(key, out var reference) && reference.TryGetTarget(out var known))
            return known;
        var decoded = ModuleDecoder.Decode(name, Encoding.UTF8.GetString(image));
        s_known[key] = new WeakReference<DecodedModule>(decoded);
        if (s_known.Count > Many)
        {
            foreach (var (other, held) in s_known)
            {
                if (!held.TryGetTarget(out _))
                    s_known.TryRemove(other, out _);
            }
        }
        return decoded;
    }
}
