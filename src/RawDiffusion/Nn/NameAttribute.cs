namespace RawDiffusion.Nn;

/// <summary>
/// The name of a field or property in <see cref="Module.NamedParameters"/>, where snake_case of the C# name is not the one wanted:
/// <c>[Name("to_out.0")]</c>.
/// </summary>
[AttributeUsage(AttributeTargets.Field | AttributeTargets.Property)]
public sealed class NameAttribute(string name) : Attribute
{
    public string Name { get; } = name;
}
