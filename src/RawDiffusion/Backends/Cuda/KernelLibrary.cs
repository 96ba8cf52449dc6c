using System.Collections.Concurrent;
using System.Reflection;
using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

/// <summary>
/// The kernels of one device. Their sources are the files of <c>kernels/</c>, embedded in this assembly; a file is compiled and loaded
/// when a kernel of it is asked for first. Methods may be called from several threads.
/// </summary>
/// <param name="sources">What to compile for a file; null: <see cref="Source"/>.</param>
public sealed class KernelLibrary(CudaContext context, KernelCompiler compiler, Func<string, KernelSource>? sources = null) : IDisposable
{
    private const string Prefix = "kernels/";

    private static readonly int s_types = Enum.GetValues<DType>().Length;

    private static readonly Lazy<IReadOnlyDictionary<string, string>> s_texts = new(ReadTexts);

    private readonly ConcurrentDictionary<(string File, string? Option), Lazy<CudaModule>> _modules = new();
    private readonly Lock _slotLock = new();
    private CudaKernel?[] _slots = [];

    /// <summary>The names of the files with kernels, in alphabetical order.</summary>
    public static IReadOnlyList<string> Files { get; } =
        [.. s_texts.Value.Keys.Where(name => name.EndsWith(".cu", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];

    /// <summary>A file with the headers it may include.</summary>
    /// <exception cref="ArgumentException">There is no such file.</exception>
    public static KernelSource Source(string file) => s_texts.Value.TryGetValue(file, out string? text)
        ? new KernelSource(file, text, s_texts.Value)
        : throw new ArgumentException($"there is no kernel file '{file}'; there are: {string.Join(", ", Files)}");

    /// <summary>The compiler option by which <c>elementwise.cu</c> becomes the kernel of an operator.</summary>
    public static string UnaryOption(string expression) => $"-DUNARY={expression}";

    public static string BinaryOption(string expression) => $"-DBINARY={expression}";

    /// <summary>The kernel of a slot for an element type.</summary>
    /// <exception cref="ArgumentException">It does not exist for this type.</exception>
    internal CudaKernel this[KernelSlot slot, DType type = DType.Float32]
    {
        get
        {
            var slots = _slots;
            int index = slot.Index * s_types + (int)type;
            return index < slots.Length && slots[index] is { } kernel ? kernel : Find(slot, type, index);
        }
    }

    public CudaKernel Kernel(string file, string name) => Module(file, null).GetKernel(name);

    public void Dispose()
    {
        foreach (var module in _modules.Values)
        {
            if (module.IsValueCreated)
                module.Value.Dispose();
        }
    }

    private CudaKernel Find(KernelSlot slot, DType type, int index)
    {
        var kernel = Module(slot.File, slot.Option).GetKernel(slot.NameFor(type));
        lock (_slotLock)
        {
            // Readers may hold the old array; what it lacks they find again.
            if (index >= _slots.Length)
            {
                var larger = new CudaKernel?[Math.Max(index + 1, 2 * _slots.Length)];
                _slots.CopyTo(larger, 0);
                _slots = larger;
            }
            _slots[index] = kernel;
        }
        return kernel;
    }

    private CudaModule Module(string file, string? option) =>
        _modules.GetOrAdd((file, option), static (key, library) => new Lazy<CudaModule>(() => library.Load(key.File, key.Option)), this).Value;

    private CudaModule Load(string file, string? option) =>
        context.LoadModule(compiler.Compile((sources ?? Source)(file), context.Target, option is null ? [] : [option]));

    private static Dictionary<string, string> ReadTexts()
    {
        var assembly = Assembly.GetExecutingAssembly();
        var texts = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string name in assembly.GetManifestResourceNames())
        {
            if (!name.StartsWith(Prefix, StringComparison.Ordinal))
                continue;
            using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!);
            texts.Add(name[Prefix.Length..], reader.ReadToEnd());
        }
        return texts;
    }
}
